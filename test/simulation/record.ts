import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { seededRandom } from '../../src/core/kernel/index.js';
import { TARGET_STATES, type Verb } from '../../src/core/rollout/index.js';
import type { Machine } from '../../src/core/update/index.js';
import { openWorldDatabase, runWorld, type Step } from '../../src/simulator/world/index.js';
import {
  fleetOf,
  give,
  PRESETS,
  RECORDED,
  type History,
  type RolloutHistory,
  type RolloutInput,
  type RolloutWorld,
  type UpdateHistory,
} from './histories.js';

const ROLLOUTS = 24;
const UPDATES = 12;
const STEPS = 60;
/** A history of a node in which less happened shows nothing. */
const STEPS_MIN = 20;

type Luck = ReturnType<typeof seededRandom>;
const pick = <T>(luck: Luck, from: readonly T[]): T => from[luck.below(from.length)] as T;

/** Writes all histories anew: what the machines decide today is what they have to decide from now on. */
export async function recordAll(): Promise<void> {
  rmSync(RECORDED, { recursive: true, force: true });
  mkdirSync(RECORDED, { recursive: true });
  for (let i = 0; i < ROLLOUTS; i += 1) write(`rollout-${i}`, rolloutHistory(i));
  const updates = await updateHistories();
  updates.forEach((history, i) => {
    write(`update-${i}`, history);
  });
}

/** One step a line, so that a change can be read. */
function write(name: string, history: History): void {
  const { steps, ...head } = history;
  const lines = steps.map((one) => `    ${JSON.stringify(one)}`).join(',\n');
  const text = `${JSON.stringify(head).slice(0, -1)},\n  "steps": [\n${lines}\n  ]\n}\n`;
  writeFileSync(`${RECORDED}${name.replace(/\d+$/, (n) => n.padStart(2, '0'))}.json`, text);
}

function rolloutHistory(index: number): RolloutHistory {
  const luck = seededRandom(`history/${index}`);
  const world: RolloutWorld = {
    nodes: 2 + luck.below(19),
    preset: PRESETS[index % PRESETS.length] ?? { strategy: 'immediate' },
    approvals: luck.below(5) === 0 ? 2 : 0,
    expiresMs: luck.below(4) === 0 ? 86_400_000 : null,
    maxUnavailable: luck.below(3) === 0 ? { count: 2 } : null,
  };
  const fleet = fleetOf(world);
  const first = [...fleet.journal];
  const steps = Array.from({ length: STEPS }, () => {
    const input = inputFor(luck, world.nodes);
    return { input, events: give(fleet, input) };
  });
  return { kind: 'rollout', world, first, steps };
}

function inputFor(luck: Luck, nodes: number): RolloutInput {
  const node = luck.below(nodes);
  const dice = luck.below(100);
  if (dice < 30) {
    const states = TARGET_STATES.filter((state) => state !== 'pending' && state !== 'skipped');
    return { do: 'report', node, state: luck.below(2) === 0 ? 'succeeded' : pick(luck, states) };
  }
  if (dice < 55) return { do: 'swap', node };
  if (dice < 63) return { do: pick(luck, ['away', 'back', 'drift', 'by_hand'] as const), node };
  if (dice < 80) return { do: 'verb', verb: verbFor(luck) };
  if (dice < 84)
    return { do: 'mode', mode: pick(luck, ['enabled', 'enabled', 'suspended'] as const) };
  return { do: 'pass', ms: pick(luck, [1_000, 300_000, 3_600_000, 86_400_000]) };
}

function verbFor(luck: Luck): Verb {
  const wave = luck.below(4);
  const by = pick(luck, ['usr_a', 'usr_b']);
  return pick<Verb>(luck, [
    { verb: 'pause' },
    { verb: 'resume' },
    { verb: 'resume' },
    { verb: 'resume' },
    { verb: 'retry_failed' },
    { verb: 'approve', wave, by },
    { verb: 'approve', wave, by },
    { verb: 'skip_wave', wave },
    { verb: 'start_wave', wave, by },
    { verb: 'mark_done', wave, by },
  ]);
}

/** What the update machines of real worlds were told, with their faults. */
async function updateHistories(): Promise<UpdateHistory[]> {
  const found: UpdateHistory[] = [];
  const database = await openWorldDatabase();
  try {
    for (let run = 0; found.length < UPDATES; run += 1) {
      const [longest] = await updatesOf(database, run);
      if (longest !== undefined) found.push(longest);
    }
  } finally {
    await database.close();
  }
  return found;
}

async function updatesOf(
  database: Awaited<ReturnType<typeof openWorldDatabase>>,
  run: number,
): Promise<UpdateHistory[]> {
  const nodes: UpdateHistory['steps'][number][][] = [];
  const recording = (real: Step): Step => {
    const steps: UpdateHistory['steps'][number][] = [];
    nodes.push(steps);
    let last: Machine | null = null;
    return (machine, input, facts) => {
      const to = real(machine, input, facts);
      // A tick that changed nothing says nothing, and there are thousands.
      if (to === machine || steps.length >= STEPS) return to;
      steps.push({ from: machine === last ? null : machine, input, facts, to });
      last = to;
      return to;
    };
  };
  await runWorld({ seed: `updates/${run}`, database, mutant: { name: 'none', step: recording } });
  return nodes
    .filter((steps) => steps.length >= STEPS_MIN)
    .sort((a, b) => b.length - a.length)
    .map((steps) => ({ kind: 'update', steps }));
}
