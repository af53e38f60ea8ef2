import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allowedVerbs, type RolloutStatus } from '../../src/core/rollout/index.js';
import { CreateRollout } from '../../src/protocol/api/index.js';
import { checkPlan } from '../../src/cli/fleet/plan-file.js';
import { ROOT } from './tree.js';

const PAGE = 'docs/rollouts.md';
const page = readFileSync(join(ROOT, PAGE), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| '));

const STRATEGIES = ['staged', 'rolling', 'canary', 'immediate', 'scheduled', 'custom'];

describe(PAGE, () => {
  it('has a plan file for each strategy that the manager would take', () => {
    const fences = [...page.matchAll(/^`(\w+)`:\n\n```json\n([^]*?)```$/gm)];
    expect(fences.map(([, name]) => name)).toEqual(STRATEGIES);
    for (const [, name = '', text = ''] of fences) {
      const plan = JSON.parse(text) as Record<string, unknown>;
      checkPlan(name, plan, CreateRollout);
      expect(plan['strategy']).toBe(name);
    }
  });

  it('says of each verb in which status it fits', () => {
    const statuses: RolloutStatus[] = ['pending', 'in_progress', 'paused', 'complete'];
    const told = new Map(
      rows
        .map((row) => row.split(' | ').map((cell) => cell.replace(/[|`]/g, '').trim()))
        .filter((cells) => cells.length === 6 && cells[0] !== 'verb')
        .map(([verb = '', ...cells]) => [verb, cells.slice(0, 4).map((cell) => cell === 'yes')]),
    );
    const verbs = [...new Set(statuses.flatMap(allowedVerbs))].sort();
    expect([...told.keys()].sort()).toEqual(verbs);
    for (const verb of verbs) {
      const fits = statuses.map((status) => allowedVerbs(status).includes(verb));
      expect([verb, told.get(verb)]).toEqual([verb, fits]);
    }
  });

  it('names specs that exist, one at least for each thing that peers do', () => {
    const peers = rows.filter((row) => /\.spec\.ts`/.test(row));
    expect(peers.length).toBeGreaterThan(50);
    const tables = page.slice(page.indexOf('## What peers do')).split('\n');
    const claims = tables.filter((line) => /^\| (?!there )/.test(line));
    expect(claims.filter((row) => !peers.includes(row))).toEqual([]);
    const named = [...page.matchAll(/`([\w/.-]+\.spec\.ts)` “([^”]+)”/g)];
    expect(named.length).toBeGreaterThanOrEqual(peers.length);
    const missing = named
      .filter(([, file = '', title = '']) => !hasTitle(file, title))
      .map(([all]) => all);
    expect(missing).toEqual([]);
  });
});

/** Whether a spec has a test, or a case of one, of this name. */
function hasTitle(file: string, title: string): boolean {
  const path = join(ROOT, file);
  return existsSync(path) && readFileSync(path, 'utf8').includes(`'${title}'`);
}
