import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import { Version } from '../../src/core/release/index.js';
import type { Answer } from '../../src/protocol/api/index.js';
import { enrollAll } from '../../src/simulator/live/enroll.js';
import type { Kept } from '../../src/simulator/live/live-memory.js';
import type { NodeSeed } from '../../src/simulator/live/orders.js';
import { publishNothing } from '../../src/simulator/live/release.js';
import { Fault as NodeFault } from '../../src/simulator/live/scenario.js';
import { FAULTS, type Fault, type Scene } from './faults.js';
import { House } from './house.js';
import { judge, type Lead, type Numbers, type Verdict } from './judge.js';
import { NodeCrew } from './node-crew.js';

const PRODUCT = 'edge';
const FROM = Version.parse('1.0.0');
/** Of the nodes of the second rollout, one in so many cannot run its release. */
const ONE_BAD_IN = 5;
/** Nodes wait for a minute at most before they try again; then a rollout needs some seconds more. */
const RECOVER_MS_MAX = 150_000;
const WORKERS = 2;
/** One run in so many on PostgreSQL has a Redis with sentinels. */
const SENTINELS_ONE_IN = 8;

type Rollout = Answer<'rollouts.show'>;

export interface RunPlan {
  readonly programs: string;
  readonly seed: string;
  readonly nodes: number;
  readonly store: 'sqlite' | 'postgres';
  readonly managers: number;
  /** Only these; empty: drawn from all that apply. */
  readonly only: readonly string[];
  /** How many strike, and how long each lasts at most. */
  readonly strikes: number;
  readonly lastsMsMax: number;
  /** Logs, diaries of the nodes and the report are left here. */
  readonly folder: string;
}

export interface Outcome {
  readonly seed: string;
  readonly where: string;
  readonly nodes: number;
  readonly ms: number;
  readonly numbers: Numbers | null;
  readonly history: readonly string[];
  readonly violations: readonly string[];
  readonly folder: string;
}

/** A whole run; never throws: what went wrong with the run itself is a violation, too. */
export async function oneRun(plan: RunPlan): Promise<Outcome> {
  const startedAt = performance.now();
  const history: string[] = [];
  const note = (what: string): void =>
    void history.push(
      `${String(Math.round(performance.now() - startedAt)).padStart(6)} ms  ${what}`,
    );
  mkdirSync(plan.folder, { recursive: true });
  let verdict: Verdict | null = null;
  const violations: string[] = [];
  try {
    verdict = await played(plan, note);
    violations.push(...verdict.violations);
  } catch (error) {
    violations.push(
      `the run itself: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  }
  const outcome: Outcome = {
    seed: plan.seed,
    where: `${plan.store}, ${plan.managers} manager${plan.managers > 1 ? 's' : ''}`,
    nodes: plan.nodes,
    ms: Math.round(performance.now() - startedAt),
    numbers: verdict?.numbers ?? null,
    ...{ history, violations, folder: plan.folder },
  };
  writeFileSync(join(plan.folder, 'outcome.json'), `${JSON.stringify(outcome, null, 2)}\n`);
  return outcome;
}

/** Which faults strike: the named ones, or any that apply here. */
export function drawn(plan: Pick<RunPlan, 'only' | 'store' | 'strikes'>, random: Random): Fault[] {
  const fits = ({ on }: Fault): boolean => on === 'any' || on === plan.store;
  const named = FAULTS.filter(({ name }) => plan.only.includes(name));
  const pool = named.length > 0 ? named : FAULTS.filter(fits);
  const list = Array.from({ length: plan.strikes }, () => pool[random.below(pool.length)] as Fault);
  const isWatched =
    list.some(({ on }) => on === 'sentinels') ||
    (named.length === 0 && plan.store === 'postgres' && random.below(SENTINELS_ONE_IN) === 0);
  if (!isWatched) return list;
  // There is one replica, so one failover; and no wire to Redis, whose address sentinels name.
  const failover = FAULTS.filter(({ on }) => on === 'sentinels').slice(0, 1);
  return [...failover, ...list.filter(({ name }) => !/^redis|^managers-apart/.test(name))];
}

async function played(plan: RunPlan, note: (what: string) => void): Promise<Verdict> {
  const random = seededRandom(plan.seed);
  const faults = drawn(plan, random);
  const house = await House.build({
    ...{ programs: plan.programs, store: plan.store, managers: plan.managers },
    isWatched: faults.some(({ on }) => on === 'sentinels'),
    logs: join(plan.folder, 'logs'),
  });
  let nodes: NodeCrew | null = null;
  try {
    const fleet = await enroll(plan, house);
    const keepIn = join(plan.folder, 'nodes');
    mkdirSync(keepIn);
    nodes = new NodeCrew(
      plan.programs,
      {
        ...{ urls: [house.origin], origin: house.origin, caPem: null, seed: plan.seed, keepIn },
        work: { fetch_ms: 150, stage_ms: 50, swap_ms: 150, health_window_ms: 300 },
        agentVersion: '0.1.0',
      },
      fleet.seeds,
      WORKERS,
    );
    for (let index = 0; index < WORKERS; index += 1) await nodes.start(index);
    await nodes.allConnected();
    const leads = await begin(house, fleet);
    note(`${plan.nodes} nodes connected, ${leads.length} rollouts begun`);
    await storm({ house, nodes, random, lastsMsMax: plan.lastsMsMax }, faults, note);
    const calmAt = performance.now();
    note('the faults are over');
    const { ended, resumed } = await toTheEnd(house, leads, note);
    const recoverMs = Math.round(performance.now() - calmAt);
    note('the rollouts have ended, or were given up');
    await nodes.allConnected().catch((error: unknown) => note(String(error)));
    await nodes.stop();
    const kept = new Map<string, Kept>();
    for (const { id } of fleet.seeds) {
      const one = nodes.keptBy(id);
      if (one !== null) kept.set(id, one);
    }
    const given = { house, folder: plan.folder, leads: ended, kept, service: PRODUCT };
    return await judge({ ...given, resumed, recoverMs });
  } finally {
    await nodes?.stop();
    await house.stop();
  }
}

interface Fleet {
  readonly seeds: readonly NodeSeed[];
  readonly groups: readonly { readonly id: string; readonly nodes: readonly NodeSeed[] }[];
}

/** Two groups: one whose nodes are all well, and a smaller one in which some cannot run the release. */
async function enroll(plan: RunPlan, house: House): Promise<Fleet> {
  const client = house.client();
  const steady = await client.call('groups.create', {
    body: { name: 'steady', parent_id: 'grp_default' },
  });
  const mixed = await client.call('groups.create', {
    body: { name: 'mixed', parent_id: 'grp_default' },
  });
  const host = { os: 'linux', arch: 'x64', labels: {} } as const;
  const isMixed = (at: number): boolean => at % 3 === 2;
  const newcomers = Array.from({ length: plan.nodes }, (_, at) => ({
    name: `chaos-${String(at + 1).padStart(4, '0')}`,
    groupId: isMixed(at) ? mixed.id : steady.id,
    host,
  }));
  const made = await enrollAll(client, house.origin, newcomers, () => undefined);
  const bad = NodeFault.parse({ kind: 'bad_release', how: 'crashes' });
  const seeds = made.map((identity, index): NodeSeed => ({
    ...{ ...identity, index, ...host },
    services: [{ name: PRODUCT, product: PRODUCT, variant: 'default', version: FROM }],
    faults: isMixed(index) && Math.floor(index / 3) % ONE_BAD_IN === 0 ? [bad] : [],
  }));
  const of = (wanted: boolean): NodeSeed[] =>
    seeds.filter(({ index }) => isMixed(index) === wanted);
  return {
    seeds,
    groups: [
      { id: steady.id, nodes: of(false) },
      { id: mixed.id, nodes: of(true) },
    ],
  };
}

async function begin(house: House, fleet: Fleet): Promise<Lead[]> {
  const leads: Lead[] = [];
  const platforms = [{ os: 'linux', arch: 'x64', variant: 'default' }] as const;
  for (const [index, group] of fleet.groups.entries()) {
    const version = Version.parse(`1.${index + 1}.0`);
    const downMax = Math.max(2, Math.ceil(group.nodes.length / 6));
    const client = house.client(index);
    await publishNothing(client, house.admin, {
      ...{ product: PRODUCT, version, channel: 'stable' },
      platforms: [...platforms],
    });
    const bad = group.nodes.filter(({ faults }) => faults.length > 0);
    const rollout = await client.call('rollouts.create', {
      body: {
        ...{ product: PRODUCT, version, scope: { group_id: group.id } },
        ...{ wave_percents: [30, 100], settle_seconds: 1, max_unavailable: downMax },
        tolerate: { failures: null, offline: null, silent: null },
      },
    });
    leads.push({
      ...{ rollout, version, from: FROM, downMax },
      nodes: group.nodes.map(({ id }) => id),
      bad: new Set(bad.map(({ id }) => id)),
    });
  }
  return leads;
}

/** One after the other, or the next while the one before still lasts. */
async function storm(scene: Scene, faults: readonly Fault[], note: (what: string) => void) {
  const { random } = scene;
  const going: Promise<void>[] = [];
  for (const fault of faults) {
    await sleep(200 + random.below(1_500));
    note(`${fault.name} strikes`);
    const over = fault.strike(scene).then((said) => {
      note(`${fault.name} is over: ${said}`);
    });
    going.push(over);
    if (random.below(2) === 0) await over;
  }
  await Promise.all(going);
}

/** Waits until they have ended; goes on with what paused itself, as an operator who saw that the faults are over. */
async function toTheEnd(house: House, leads: readonly Lead[], note: (what: string) => void) {
  const untilMs = performance.now() + RECOVER_MS_MAX;
  let resumed = 0;
  let ended: Lead[] = [...leads];
  const isOver = ({ status }: Rollout): boolean =>
    !['pending', 'in_progress', 'paused'].includes(status);
  while (performance.now() < untilMs) {
    ended = await Promise.all(
      ended.map(async (lead) => {
        const params = { id: lead.rollout.id };
        const rollout = await house.ask((client) => client.call('rollouts.show', { params }));
        return { ...lead, rollout };
      }),
    );
    if (ended.every(({ rollout }) => isOver(rollout))) break;
    for (const { rollout } of ended.filter(({ rollout: { status } }) => status === 'paused')) {
      note(`${rollout.version} is paused (${rollout.reason}): resumed`);
      resumed += 1;
      const params = { id: rollout.id };
      await house
        .client()
        .call('rollouts.resume', { params })
        .catch((error: unknown) => {
          note(String(error));
        });
    }
    await sleep(500);
  }
  return { ended, resumed };
}
