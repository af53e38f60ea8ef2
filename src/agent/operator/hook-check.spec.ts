import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { problemsOfHooks } from './hook-check.js';
import { UpdateHooks } from '../supervisor/index.js';

let folder: string;
let program: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-hooks-'));
  program = join(folder, 'drain');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const problems = (hooks: object): Promise<string[]> => problemsOfHooks(UpdateHooks.parse(hooks));

describe('the hooks of a service', () => {
  it('are fine when nobody else can change what they run', async () => {
    symlinkSync(program, join(folder, 'link'));
    const link = { command: [join(folder, 'link'), '--quietly'] };
    expect(await problems({ pre_swap: { command: [program] }, post_swap: link })).toEqual([]);
    expect(await problems({})).toEqual([]);
  });

  it.each<[string, () => void, string]>([
    ['is missing', () => rmSync(program), 'is missing'],
    ['cannot be run', () => chmodSync(program, 0o644), 'cannot be run (chmod +x)'],
    ['others can write', () => chmodSync(program, 0o775), 'can be changed by others (chmod go-w)'],
    [
      'is a folder',
      () => {
        rmSync(program);
        mkdirSync(program);
      },
      'is not a file',
    ],
  ])('are told when one %s', async (_what, change, problem) => {
    change();
    const found = await problems({
      pre_stage: { command: ['/bin/true'] },
      pre_rollback: { command: [program] },
    });
    expect(found).toEqual([`hook pre_rollback: ${program} ${problem}`]);
  });

  it('are told when others can write the folder they lie in', async () => {
    chmodSync(folder, 0o777);
    const [found] = await problems({ pre_swap: { command: [program] } });
    expect(found).toContain(`lies in ${folder}, which can be changed by others`);
  });
});
