import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { compared, IS_QUICK } from './measure.js';
import { benchPrograms } from './sockets/crowd.js';

const RUNS = IS_QUICK ? 60 : 400;

describe('the simulator', () => {
  it('plays whole rollouts with faults, checked', { timeout: 600_000 }, () => {
    const programs = benchPrograms();
    const startedAt = performance.now();
    const words = [join(programs.path, 'simulator/main.js'), '--runs', String(RUNS), '--seed', 'a'];
    const played = spawnSync(process.execPath, words, { encoding: 'utf8' });
    const minutes = (performance.now() - startedAt) / 60_000;
    if (played.status !== 0) throw new Error(played.stdout + played.stderr);
    const rollouts = Number(/^rollouts +(\d+)/m.exec(played.stdout)?.[1]);
    compared('simulated rollouts, checked after every step, a minute', {
      ...{ row: 'simulator', unit: '/min' },
      baseline: ['wanted', 1_000],
      measured: ['played', rollouts / minutes],
    });
    programs.remove();
  });
});
