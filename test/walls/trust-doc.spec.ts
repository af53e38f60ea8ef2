import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NodePolicy } from '../../src/core/release/index.js';
import { ROOT } from './tree.js';

const page = readFileSync(join(ROOT, 'docs/trust.md'), 'utf8');
const threats = page
  .slice(page.indexOf('## Threats'))
  .split('\n')
  .filter((line) => /^\| (?!attack |---)/.test(line));

/** The attacks that The Update Framework lists. */
const TUF = [
  'arbitrary software',
  'wrong software',
  'rollback of a release',
  'rollback of an index',
  'fast-forward',
  'freeze',
  'endless data',
  'slow retrieval',
  'mix and match',
  'malicious mirror',
  'one stolen key of two',
];

describe('docs/trust.md', () => {
  it('has a row for each attack that The Update Framework lists', () => {
    const rows = threats.map((line) => line.split(' | ')[0]?.replace('| ', ''));
    expect(TUF.filter((attack) => !rows.includes(attack))).toEqual([]);
  });

  it('names for each attack specs that exist', () => {
    const wrong = threats.filter((line) => {
      const [, file = '', titles = ''] = /`([\w/.-]+\.spec\.ts)` (“.*”) \|$/.exec(line) ?? [];
      const named = [...titles.matchAll(/“([^”]+)”/g)].map(([, title = '']) => title);
      return named.length === 0 || named.some((title) => !hasTitle(file, title));
    });
    expect(wrong).toEqual([]);
  });

  it('leaves out no file of test/redteam', () => {
    const files = readdirSync(join(ROOT, 'test/redteam'));
    expect(files.filter((file) => !page.includes(`test/redteam/${file}`))).toEqual([]);
  });

  it('tells the defaults of the policy as they are', () => {
    const policy: Record<string, unknown> = NodePolicy.parse({});
    const rows = [...page.matchAll(/^\| `(\w+)` \| (?:`([^`]+)`|none) \|/gm)];
    expect(rows.length).toBeGreaterThanOrEqual(6);
    for (const [, name = '', told] of rows) {
      expect([name, told === undefined ? [] : JSON.parse(told)]).toEqual([name, policy[name]]);
    }
  });
});

/** Whether a spec has a test, or a case of one, of this name. */
function hasTitle(file: string, title: string): boolean {
  const path = join(ROOT, file);
  return existsSync(path) && readFileSync(path, 'utf8').includes(`'${title}'`);
}
