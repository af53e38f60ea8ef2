import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import type { Event } from '../../../src/protocol/api/index.js';
import { mostAtOnce } from '../../chaos/judge.js';
import { release } from '../../support/catalog.js';
import { compared, IS_QUICK } from '../measure.js';
import { benchPrograms, startCrowd, type Crowd } from './crowd.js';
import { connectAll, roll, wholeRound, type Figures, type Round } from './figures.js';
import {
  makeSeeds,
  startBareServer,
  startBenchManagers,
  type BareServer,
  type BenchManagers,
  type Inside,
} from './servers.js';

/** Beyond what one process has descriptors for: `BELLWETHER_BENCH_NODES=50000 npm run bench -- many`. */
const NODES = Number(process.env['BELLWETHER_BENCH_NODES'] ?? (IS_QUICK ? 600 : 30_000));
const MANAGERS = Number(process.env['BELLWETHER_BENCH_MANAGERS'] ?? 3);
const KIB = 1_024;
/** Nodes down at one moment while a manager dies: so many that the wave has hundreds under way. */
const DOWN_MAX = Math.ceil(NODES / 60);

type Seeds = ReturnType<typeof makeSeeds>;

/** Servers as one: what is summed, and the longest of what is not. */
function together(all: readonly Inside[]): Inside {
  const each = <T>(what: (one: Inside) => Promise<T>): Promise<T[]> => Promise.all(all.map(what));
  const done = async (what: (one: Inside) => Promise<void>): Promise<void> => {
    await each(what);
  };
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    url: all[0]?.url ?? '',
    restBytes: async () => sum(await each((one) => one.restBytes())),
    cpuMicros: async () => sum(await each((one) => one.cpuMicros())),
    gapBegin: () => done((one) => one.gapBegin()),
    gapEnd: async () => Math.max(...(await each((one) => one.gapEnd()))),
    kill: () => done((one) => one.kill()),
    start: () => done((one) => one.start()),
    stop: () => done((one) => one.stop()),
  };
}

const say = (text: string): void => void process.stdout.write(`  ${text}\n`);

/** As soon as it is known: a run of fifty thousand takes half an hour, and not each comes to its end. */
function tell({ bytesPerNode = 0, pushMs = 0, roundMs = 0 }: Figures): void {
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const memory = (bytesPerNode / KIB).toFixed(2);
  say(`memory ${memory} KiB a node, push ${seconds(pushMs)}, a round ${seconds(roundMs)}`);
}

/** One of them dies and stays away: until 99 % of the nodes that it had are with the others. */
async function oneIsKilled(all: readonly Inside[], crowd: Crowd): Promise<number> {
  const before = crowd.crew.report().numbers;
  const startedAt = performance.now();
  await all[1]?.kill();
  await crowd.until('back with the others', ({ states, numbers }) => {
    // How many it had is known by what was lost: in a storm a node takes whichever manager has room.
    const had = numbers.lost - before.lost;
    const welcomed = numbers.welcomed - before.welcomed;
    const isKnown = had > NODES / all.length / 2;
    return isKnown && welcomed >= 0.99 * had && states.connected >= NODES - 0.01 * had;
  });
  return performance.now() - startedAt;
}

async function bare(programs: string, seeds: Seeds): Promise<Figures> {
  const all: BareServer[] = [];
  for (let index = 0; index < MANAGERS; index += 1) all.push(await startBareServer(null));
  const server = together(all);
  const crowd = await startCrowd(programs, seeds, { urls: all.map(({ url }) => url), caPem: null });
  try {
    const round: Round = { server, crowd, seeds, figures: {} };
    say('connects');
    await connectAll(round);
    say('rolls out');
    await wholeRound(round, () => Promise.all(all.map((one) => one.push('2.0.0'))));
    tell(round.figures);
    say('one is killed');
    round.figures.backMs = await oneIsKilled(all, crowd);
    return round.figures;
  } finally {
    await crowd.crew.stop();
    await server.stop();
  }
}

async function complete(managers: BenchManagers, id: string): Promise<void> {
  for (;;) {
    const { body } = await managers.call('rollouts.show', { params: { id } });
    if (body.status === 'complete') return;
    await sleep(250);
  }
}

async function eachRuns(managers: BenchManagers, version: string): Promise<void> {
  for (;;) {
    const query = { product: 'edge', version, total: 'true', limit: 1 } as const;
    const { body } = await managers.call('nodes.list', { query });
    if (body.total === NODES) return;
    await sleep(250);
  }
}

/** Of nodes on one machine with one clock: how many at most were between swap and end at one moment. */
async function mostDown(managers: BenchManagers, version: string): Promise<number> {
  const [began, ended] = [new Map<string, number>(), new Map<string, number>()];
  for (let after = 0; ;) {
    const query = { after, limit: 1_000 };
    const { body } = await managers.call('events.list', { query });
    for (const event of body.items) noteSwap(event, { version, began, ended });
    if (body.next_after === after) break;
    after = body.next_after;
  }
  const swaps = [...began].map(([id, began_at]) => {
    const ended_at = ended.get(id) ?? null;
    return { command_id: id, version, began_at, done_at: ended_at, ended_at, result: null };
  });
  return mostAtOnce(swaps);
}

function noteSwap(
  event: Event,
  to: {
    readonly version: string;
    readonly began: Map<string, number>;
    readonly ended: Map<string, number>;
  },
): void {
  const { type, command_id: id, occurred_at, details } = event;
  if (id === null) return;
  const at = Date.parse(occurred_at);
  if (type === 'upgrade_swapping' && details['to_version'] === to.version) to.began.set(id, at);
  if (/^upgrade_(completed|rolled_back|set_failed)/.test(type)) to.ended.set(id, at);
}

async function ours(programs: string, seeds: Seeds): Promise<Figures & { readonly most: number }> {
  const managers = await startBenchManagers(programs, seeds, MANAGERS);
  const server = together(managers.all);
  const urls = managers.all.map(({ url }) => url);
  const crowd = await startCrowd(programs, seeds, { urls, caPem: null });
  try {
    const round: Round = { server, crowd, seeds, figures: {} };
    say('connects');
    await connectAll(round);
    say('rolls out');
    await release(managers as never, { version: '2.0.0', sequence: 2 });
    await release(managers as never, { version: '3.0.0', sequence: 3 });
    let first = '';
    await wholeRound(round, async () => {
      first = await roll(managers, '2.0.0');
    });
    tell(round.figures);
    await complete(managers, first);
    // The next one is a hop from what the nodes are known to run.
    await eachRuns(managers, '2.0.0');
    say('one is killed in a wave');
    const before = crowd.crew.report().numbers;
    const id = await roll(managers, '3.0.0', { max_unavailable: DOWN_MAX });
    await crowd.until('swaps', ({ numbers }) => numbers.swaps - before.swaps >= NODES / 4);
    round.figures.backMs = await oneIsKilled(managers.all, crowd);
    say(`99 % of its nodes are back after ${Math.round(round.figures.backMs)} ms`);
    const done = await crowd.until(
      'the wave',
      ({ numbers, backlog }) => numbers.succeeded - before.succeeded >= NODES && backlog === 0,
    );
    const { failed, rolled_back: back } = done.numbers;
    round.figures.harmed = failed - before.failed + back - before.rolled_back;
    await complete(managers, id);
    return { ...round.figures, most: await mostDown(managers, '3.0.0') };
  } finally {
    await crowd.crew.stop();
    await managers.stop();
  }
}

describe(`${NODES} nodes on ${MANAGERS} managers`, () => {
  it(
    'against as many servers of bare ws, with the same client',
    { timeout: 7_200_000 },
    async () => {
      const programs = benchPrograms();
      const seeds = makeSeeds(NODES);
      const [baseline, measured] = [
        await bare(programs.path, seeds),
        await ours(programs.path, seeds),
      ];
      const where = `${NODES} nodes, ${MANAGERS} managers`;
      const row = (key: string, what: string, unit: string, name: keyof Figures, per = 1): void => {
        compared(`${what}, ${where}`, {
          ...{ row: key, unit },
          baseline: ['bare ws', (baseline[name] ?? Number.NaN) / per],
          measured: ['managers', (measured[name] ?? Number.NaN) / per],
        });
      };
      row('many_memory', 'memory of a connected, authenticated node', 'KiB', 'bytesPerNode', KIB);
      row(
        'many_connect_cpu',
        'CPU of a connection, from upgrade to welcome',
        'µs',
        'connectCpuMicros',
      );
      row('many_push', 'push of upgrade_binary: the last node has it', 'ms', 'pushMs');
      row('many_push_cpu', 'CPU of that push', 'ms', 'pushCpuMs');
      row('many_round', 'a whole round, settle times zero', 'ms', 'roundMs');
      row('many_back', 'one is killed and stays away: 99 % of its nodes are back', 'ms', 'backMs');
      compared(`nodes between swap and end at most, while one is killed in the wave, ${where}`, {
        ...{ row: 'many_down', unit: 'nodes' },
        baseline: ['allowed', DOWN_MAX],
        measured: ['were', measured.most],
      });
      compared(`nodes that failed or turned back because a manager was killed, ${where}`, {
        ...{ row: 'many_harmed', unit: 'nodes' },
        baseline: ['allowed', 0],
        measured: ['were', measured.harmed ?? Number.NaN],
      });
      programs.remove();
    },
  );
});
