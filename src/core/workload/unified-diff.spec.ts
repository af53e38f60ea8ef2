import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { gitIn } from '../../../test/support/kube/git.js';
import { mailOf, repositoryPath, unifiedDiff } from './unified-diff.js';

const PATH = 'shop/values.yaml';
describe('a diff of one file', { timeout: 120_000 }, () => {
  const dir = makeTempDir();
  const real = gitIn(dir.path);
  const git = (input: string, ...words: readonly string[]): string => real(words, input);
  const put = (text: string | null): void => {
    const file = join(dir.path, PATH);
    rmSync(file, { force: true });
    mkdirSync(dirname(file), { recursive: true });
    if (text !== null) writeFileSync(file, text);
  };
  const now = (): string | null => {
    const file = join(dir.path, PATH);
    return existsSync(file) ? readFileSync(file, 'utf8') : null;
  };
  beforeAll(() => {
    git('', 'init', '--quiet', '--initial-branch=main');
  });
  afterAll(() => {
    dir.remove();
  });

  it('is what git makes of it, for texts of all kinds', () => {
    const line = fc.constantFrom(
      '',
      'image:',
      '  tag: "1.1.0"',
      '-- ',
      '@@ -1 +1 @@',
      'ü € \t',
      '\r',
    );
    const text = fc.option(
      fc.tuple(fc.array(line, { maxLength: 20 }), fc.boolean()).map(([lines, isEnded]) => {
        const joined = lines.join('\n');
        return isEnded && joined !== '' ? `${joined}\n` : joined;
      }),
    );
    fc.assert(
      fc.property(text, text, (before, after) => {
        const diff = unifiedDiff({ path: PATH, before, after });
        expect(diff === '').toBe(before === after);
        if (diff === '') return;
        put(before);
        git(diff, 'apply', '--whitespace=nowarn', '-');
        expect(now()).toBe(after);
      }),
      { numRuns: 60 },
    );
  });

  it('is found by its ids when the file has moved on elsewhere', () => {
    const lines = Array.from({ length: 40 }, (_, index) => `line ${index}\n`);
    const changed = lines.with(20, 'other\n');
    put(lines.join(''));
    git('', 'add', '.');
    git('', 'commit', '--quiet', '-m', 'begin');
    const diff = unifiedDiff({ path: PATH, before: lines.join(''), after: changed.join('') });
    expect(diff.split('\n').slice(5, 12)).toEqual([
      ...[' line 17', ' line 18', ' line 19', '-line 20', '+other', ' line 21', ' line 22'],
    ]);
    put(lines.with(18, 'moved on\n').join(''));
    git('', 'commit', '--quiet', '-am', 'moved on');
    expect(() => git(diff, 'apply', '--check', '-')).toThrow();
    git(diff, 'apply', '--3way', '-');
    expect(now()).toBe(changed.with(18, 'moved on\n').join(''));
    git('', 'reset', '--quiet', '--hard');
  });

  it('becomes a mail that git takes as a commit, whatever stands in the names', () => {
    put('a\n');
    git('', 'add', '.');
    git('', 'commit', '--quiet', '-m', 'again');
    const diff = unifiedDiff({ path: PATH, before: 'a\n', after: 'b\n' });
    const mail = mailOf(diff, {
      from: 'bellwether-operator <operator@prod-1.invalid>',
      at: new Date('2026-11-22T03:00:00Z'),
      subject: 'shop/deployment/edge: 1.1.0\nX-Evil: yes',
      body: 'edge@sha256:ab\n---\ndiff --git a/x b/x',
    });
    git(mail, 'am', '--quiet');
    expect(now()).toBe('b\n');
    expect(git('', 'log', '-1', '--format=%an|%ae|%at|%s')).toBe(
      'bellwether-operator|operator@prod-1.invalid|1795316400|shop/deployment/edge: 1.1.0 X-Evil: yes\n',
    );
    expect(git('', 'status', '--porcelain')).toBe('');
  });
});

it('a path of a repository leads into it, and to nothing that runs by itself', () => {
  expect(repositoryPath('apps/shop/values-prod.yaml')).toEqual({
    ok: true,
    value: 'apps/shop/values-prod.yaml',
  });
  for (const path of [
    ...[
      '',
      '/etc/passwd',
      '../up',
      'a/../b',
      'a//b',
      'a/',
      '.git/hooks/x',
      'a/.github/workflows/x',
    ],
    ...['a b', 'a\nb', '-rf', 'x'.repeat(201)],
  ]) {
    expect([path, repositoryPath(path).ok]).toEqual([path, false]);
  }
});
