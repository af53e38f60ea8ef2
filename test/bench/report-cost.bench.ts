import { describe, it } from 'vitest';
import { STRICT, observe, type Report, type Target } from '../../src/core/rollout/index.js';
import { plus } from '../../src/core/kernel/index.js';
import { openDatabase } from '../../src/server/platform/database/index.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { members, RolloutFleet } from '../support/rollout-fleet.js';
import { rolloutsOn } from '../support/rollouts.js';
import { compared, median } from './measure.js';

const SMALL = 1_000;
const LARGE = 50_000;
const ROUNDS = 21;
const STATES = ['accepted', 'downloading', 'staged'] as const;
/** Each of so many targets goes through each of the states: no report is an echo. */
const REPORTS = STATES.length * SMALL;

/** Milliseconds for so many reports to a rollout of `count` nodes, in memory. */
function inMemory(count: number): number {
  const fleet = new RolloutFleet({
    preset: { strategy: 'immediate' },
    members: members(count),
  });
  const targets = [...fleet.targets.values()].slice(0, SMALL);
  let rollout = fleet.rollout;
  let now = plus(fleet.now, 1);
  // What planning left behind is not the cost of a report.
  globalThis.gc?.();
  const startedAt = performance.now();
  for (let i = 0; i < REPORTS; i += 1) {
    const target = targets[i % targets.length] as Target;
    const state = STATES[Math.floor(i / targets.length)] ?? 'accepted';
    const report: Report = {
      kind: 'progress',
      commandId: target.commandId ?? '',
      state,
      reason: state,
      errorCode: null,
    };
    const seen = observe(rollout, target, report, now);
    rollout = seen.decision.rollout;
    targets[i % targets.length] = seen.target;
    now = plus(now, 1);
  }
  return performance.now() - startedAt;
}

describe('one report', () => {
  it('costs the same in a small rollout and in a large one', { timeout: 300_000 }, () => {
    for (let i = 0; i < ROUNDS; i += 1) inMemory(SMALL);
    const pairs = Array.from({ length: ROUNDS }, () => [inMemory(SMALL), inMemory(LARGE)] as const);
    compared('one report to the machine, in memory', {
      unit: 'µs',
      baseline: [`${SMALL} nodes`, (1_000 * median(pairs.map(([small]) => small))) / REPORTS],
      measured: [`${LARGE} nodes`, (1_000 * median(pairs.map(([, large]) => large))) / REPORTS],
    });
  });

  it('costs the same when it is stored', { timeout: 600_000 }, async () => {
    const times = new Map<number, number>();
    for (const count of [SMALL, LARGE]) times.set(count, await stored(count));
    compared('one report stored (SQLite, each its own commit)', {
      unit: 'µs',
      baseline: [`${SMALL} nodes`, times.get(SMALL) ?? 0],
      measured: [`${LARGE} nodes`, times.get(LARGE) ?? 0],
    });
  });
});

/** Microseconds for one event of a node, through ingest and machine into the database. */
async function stored(count: number): Promise<number> {
  const dir = makeTempDir();
  const database = await openDatabase({ url: null, dataDir: dir.path, log: silentLog });
  const rollouts = rolloutsOn(database);
  const nodes = await rollouts.enroll(count);
  const id = await rollouts.create({
    nodes,
    preset: { strategy: 'staged', percents: [100], settleMs: 0, tolerance: STRICT },
  });
  for (let left = count; left > 0; left -= 500) await rollouts.orchestrator.wake(id);
  const chosen = nodes.slice(0, 400).map((node) => node.id);
  const rounds: number[] = [];
  for (const type of ['upgrade_started', 'upgrade_staged', 'upgrade_swapping'] as const) {
    const startedAt = performance.now();
    for (const nodeId of chosen) await rollouts.tell(id, nodeId, type);
    rounds.push((1_000 * (performance.now() - startedAt)) / chosen.length);
  }
  await rollouts.stop();
  await database.close();
  dir.remove();
  return median(rounds);
}
