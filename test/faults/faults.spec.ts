import { writeSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import {
  FAULT_POINTS,
  HOOK_FAULT_POINTS,
  SET_FAULT_POINTS,
} from '../../src/agent/updater/index.js';
import { buildPrograms } from '../support/built.js';
import {
  FaultBench,
  HOOK_WAYS,
  KINDS,
  SERVICES,
  type HookWay,
  type Kind,
  type ServiceName,
} from './fault-bench.js';

/** Few and always the same with all other tests; `npm run test:faults` takes more. */
const RUNS = Number(process.env['FAULT_RUNS'] ?? 4);
const SEED = process.env['FAULT_SEED'] ?? '1';
/** Each has an agent of its own; they mostly wait. */
const LANES = Number(process.env['FAULT_LANES'] ?? 2);
const IS_LONG = process.env['FAULT_RUNS'] !== undefined;
/** An order that has not come to its end by then is stuck. */
const END_WITHIN_MS = 60_000;
const POINTS = [...FAULT_POINTS, ...HOOK_FAULT_POINTS, ...SET_FAULT_POINTS];

interface Order {
  readonly name: ServiceName;
  readonly version: string;
  readonly kind: Kind;
}

interface Run {
  readonly orders: readonly Order[];
  /** Where each life of the agent ends: at a named point, or after some time. */
  readonly deaths: readonly (string | number)[];
  /** One of the orders is revoked so long after it was given. */
  readonly revoked: { readonly name: ServiceName; readonly afterMs: number } | null;
  /** The disk is full but for this, from then on and for so long. */
  readonly disk: {
    readonly afterMs: number;
    readonly forMs: number;
    readonly leftBytes: number;
  } | null;
  readonly preRollback: HookWay;
}

/** To the last byte; to what a state needs and no artifact; to what an artifact needs and no version. */
const LEFT_BYTES = [0, 64 * 1024, 400 * 1024];

const counts = { runs: 0, kills: 0, kept: 0, back: 0, good: 0, revoked: 0, full: 0 };
const hooks: Record<HookWay, number> = { succeeds: 0, fails: 0, hangs: 0 };
const reached = new Map<string, number>();
let programs: ReturnType<typeof buildPrograms>;

beforeAll(() => {
  programs = buildPrograms();
}, 240_000);
afterAll(() => {
  programs.remove();
});

const pick = <T>(random: Random, from: readonly T[]): T => from[random.below(from.length)] as T;

/** What happens in a run follows from its seed alone; only how fast things go does not. */
function planned(index: number): Run {
  const random = seededRandom(`${SEED}/${index}`);
  const names = random.next() < 0.6 ? [...SERVICES] : [pick(random, SERVICES)];
  const orders = names.map((name) => ({
    name,
    version: `1.${index + 1}.0`,
    kind: random.next() < 0.5 ? ('good' as const) : pick(random, KINDS),
  }));
  const deaths = Array.from({ length: 1 + random.below(3) }, () =>
    random.next() < 0.7 ? pick(random, POINTS) : 50 + random.below(3_000),
  );
  const revoked =
    random.next() < 0.3 ? { name: pick(random, names), afterMs: random.below(6_000) } : null;
  const disk =
    random.next() < 0.3
      ? {
          afterMs: random.below(4_000),
          forMs: 500 + random.below(3_000),
          leftBytes: pick(random, LEFT_BYTES),
        }
      : null;
  const preRollback = pick(random, Object.keys(HOOK_WAYS) as HookWay[]);
  return { orders, deaths, revoked, disk, preRollback };
}

async function until(isSo: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!isSo()) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return true;
}

/** One version of every kind has a name of its own: the two services may get different ones. */
const versionOf = (order: Order): string =>
  order.name === 'edge' ? order.version : order.version.replace(/0$/, '1');

async function play(bench: FaultBench, run: Run): Promise<string[]> {
  const orders = run.orders.map((order) => ({ ...order, version: versionOf(order) }));
  for (const { name, version, kind } of orders) await bench.publish(name, version, kind);
  const broken: string[] = [];
  const isOver = (): boolean => SERVICES.every((name) => bench.hasEnded(name));
  await bench.kill();
  bench.beforeRollback(run.preRollback);
  let besides: Promise<void> = Promise.resolve();
  for (const [life, death] of run.deaths.entries()) {
    bench.start(typeof death === 'string' ? death : '');
    if (life === 0) {
      bench.order(orders);
      besides = befall(bench, run);
    }
    const dies = typeof death === 'number' ? death : END_WITHIN_MS;
    // A point that this life does not pass: it ends when all is over.
    await until(() => !bench.isRunning || isOver(), dies);
    if (!bench.isRunning) reached.set(String(death), (reached.get(String(death)) ?? 0) + 1);
    counts.kills += 1;
    await bench.kill();
    broken.push(...bench.brokenNow());
  }
  await besides;
  bench.start();
  if (!(await until(isOver, END_WITHIN_MS))) broken.push('an order has not come to its end');
  if (!(await learnsKillLists(bench))) broken.push('a kill list is not known');
  const isCalm = (): boolean => bench.brokenAtRest().length === 0;
  if (!(await until(isCalm, END_WITHIN_MS))) broken.push(...bench.brokenAtRest());
  bench.rested();
  return [...broken, ...wrongEnds(bench, run)];
}

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What comes from outside while the agent lives and dies. Resolves when all of it has come and gone. */
async function befall(bench: FaultBench, { orders, revoked, disk }: Run): Promise<void> {
  const kill = async (): Promise<void> => {
    const order = orders.find(({ name }) => name === revoked?.name);
    if (revoked === null || order === undefined) return;
    await after(revoked.afterMs);
    bench.revoke(order.name, versionOf(order));
    counts.revoked += 1;
    await bench.look();
  };
  const fill = async (): Promise<void> => {
    if (disk === null || bench.disk === null) return;
    await after(disk.afterMs);
    bench.disk.fill(disk.leftBytes);
    counts.full += 1;
    await after(disk.forMs);
    bench.disk.free();
  };
  await Promise.all([kill(), fill()]);
}

/** Without being asked the agent looks within half a minute after its link is open. */
async function learnsKillLists(bench: FaultBench): Promise<boolean> {
  const deadline = performance.now() + END_WITHIN_MS;
  while (!bench.knowsKillLists && performance.now() < deadline) {
    await bench.look();
    await until(() => bench.knowsKillLists, 1_000);
  }
  return bench.knowsKillLists;
}

/** Good ones may stay, others never; and what moved together has one end. */
function wrongEnds(bench: FaultBench, { orders }: Run): string[] {
  const ends = new Map(
    orders.map(({ name }) => [bench.commandOf(name), bench.state(name)?.outcome ?? null]),
  );
  const wrong = orders.flatMap((order) => {
    const has = bench.linked(order.name) === versionOf(order);
    if (has) counts.good += 1;
    // On a busy machine one may fall sick only after its window: then it stays, and rightly.
    const mayStay = order.kind === 'good' || order.kind === 'falls sick';
    return has && !mayStay ? [`${order.name}: a release that ${order.kind} stayed`] : [];
  });
  for (const commands of bench.moves) {
    const outcomes = commands.flatMap((id) => ends.get(id) ?? []);
    const results = outcomes.map(({ result }) => result);
    if (results.length < 2) continue;
    // What is revoked goes, whatever its set agreed on.
    if (outcomes.some(({ error_code }) => error_code === 'upgrade_revoked')) continue;
    const stayed = results.filter((result) => result === 'succeeded').length;
    if (stayed === 0) counts.back += 1;
    else if (stayed === results.length) counts.kept += 1;
    else wrong.push(`a mixed state stays: ${results.join()}`);
  }
  return wrong;
}

async function lane(number: number): Promise<string[]> {
  const bench = await FaultBench.make(programs.path);
  try {
    for (const name of SERVICES)
      await bench.publish(name, name === 'edge' ? '1.0.0' : '1.0.1', 'good');
    bench.start();
    bench.order(SERVICES.map((name) => ({ name, version: name === 'edge' ? '1.0.0' : '1.0.1' })));
    const isUp = await until(() => SERVICES.every((name) => bench.hasEnded(name)), END_WITHIN_MS);
    if (!isUp) return [`lane ${number} did not start: ${bench.agentLog.slice(-2_000)}`];
    for (let index = number; index < RUNS; index += LANES) {
      const run = planned(index);
      const broken = await play(bench, run);
      counts.runs += 1;
      if (IS_LONG) {
        const { runs, kills, kept, back } = counts;
        const line = `${runs}/${RUNS} runs, ${kills} kills, sets: ${kept} kept, ${back} back`;
        writeSync(2, `\r${line}`);
      }
      if (broken.length > 0) {
        const tail = bench.agentLog.split('\n').slice(-25).join('\n');
        return [`seed ${SEED}, run ${index}: ${JSON.stringify({ run, broken })}\n${tail}`];
      }
    }
    return [];
  } finally {
    for (const way of bench.hooksAsked) hooks[way as HookWay] += 1;
    await bench.stop();
  }
}

it(
  'an agent that is killed anywhere leaves no service down, runs nothing unverified, shows no half version',
  async () => {
    const lanes = Array.from({ length: Math.min(LANES, RUNS) }, (_, number) => lane(number));
    const broken = (await Promise.all(lanes)).flat();
    if (IS_LONG)
      writeSync(2, `\n${JSON.stringify({ seed: SEED, ...counts, hooks, points: reached.size })}\n`);
    expect(broken).toEqual([]);
    expect(counts.runs).toBe(RUNS);
  },
  IS_LONG ? RUNS * 60_000 : 180_000,
);
