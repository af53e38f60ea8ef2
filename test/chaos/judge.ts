import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Answer, Event } from '../../src/protocol/api/index.js';
import type { Kept, SwapFact } from '../../src/simulator/live/live-memory.js';
import type { House } from './house.js';

const run = promisify(execFile);

type Rollout = Answer<'rollouts.show'>;

/** One rollout, and what must come of it. */
export interface Lead {
  readonly rollout: Rollout;
  readonly version: string;
  readonly from: string;
  readonly downMax: number;
  readonly nodes: readonly string[];
  /** Those on which the new version is bad: they must be back where they were. */
  readonly bad: ReadonlySet<string>;
}

export interface Numbers {
  commands: number;
  upgraded: number;
  rolled_back: number;
  swaps: number;
  swaps_twice: number;
  most_at_once: Record<string, string>;
  events_stored: number;
  events_made: number;
  events_lost: number;
  events_doubled: number;
  gaps: number;
  wrong_version: number;
  stuck: number;
  resumed: number;
  recover_ms: number | null;
  audit: string;
  events_verified: string;
}

export interface Verdict {
  readonly numbers: Numbers;
  readonly violations: readonly string[];
}

/** The most of these swaps that were between their beginning and their end at one moment. */
export function mostAtOnce(swaps: readonly SwapFact[]): number {
  const changes = swaps.flatMap(({ began_at, ended_at }) => [
    { at: began_at, by: 1 },
    { at: ended_at ?? Infinity, by: -1 },
  ]);
  // What ended and what began in one ms is no overlap that anybody could have seen.
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let [now, most] = [0, 0];
  for (const { by } of changes) most = Math.max(most, (now += by));
  return most;
}

const keyOf = (node: string, event: { command_id: string | null; type: string }): string =>
  `${node} ${event.command_id ?? ''} ${event.type}`;

const counted = (keys: readonly string[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
};

/** What is in one and not in the other, counted. */
function missing(of: ReadonlyMap<string, number>, from: ReadonlyMap<string, number>): string[] {
  return [...of].flatMap(([key, count]) => {
    const less = count - (from.get(key) ?? 0);
    return less > 0 ? Array.from({ length: less }, () => key) : [];
  });
}

/** The product's own commands, as whoever doubts a manager runs them: exit code 0, or what they said. */
async function verified(house: House, folder: string): Promise<{ audit: string; events: string }> {
  const cli = join(house.plan.programs, 'cli', 'main.js');
  const env = {
    ...process.env,
    BELLWETHER_MANAGER: house.rooms[0]?.url ?? '',
    BELLWETHER_TOKEN: house.admin,
  };
  const cmd = async (...words: readonly string[]): Promise<string> =>
    (await run(process.execPath, [cli, ...words], { env, maxBuffer: 10_000_000 })).stdout.trim();
  const told = async (of: () => Promise<string>): Promise<string> => {
    try {
      return `ok: ${(await of()).split('\n')[0] ?? ''}`;
    } catch (error) {
      return `FAILED: ${(error as Error).message}`;
    }
  };
  const [log, note, events] = ['audit.ndjson', 'audit.checkpoint', 'events.ndjson'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  return {
    audit: await told(async () => {
      const key = await cmd('audit', 'key');
      await cmd('audit', 'export', log, '--checkpoint', note);
      return cmd('audit', 'verify', log, '--checkpoint', note, '--public-key', key);
    }),
    events: await told(async () => {
      await cmd('events', 'export', events);
      return cmd('events', 'verify', events);
    }),
  };
}

export async function allEvents(house: House): Promise<Event[]> {
  const all: Event[] = [];
  for (let after = 0; ;) {
    const query = { after, limit: 1_000 };
    const page = await house.ask((client) => client.call('events.list', { query }));
    all.push(...page.items);
    if (page.next_after === after) return all;
    after = page.next_after;
  }
}

interface Case {
  readonly house: House;
  readonly folder: string;
  readonly leads: readonly Lead[];
  readonly kept: ReadonlyMap<string, Kept>;
  readonly service: string;
  readonly resumed: number;
  readonly recoverMs: number | null;
}

/** Holds what the manager says against what the nodes did; nothing that the manager believes is taken for true. */
export async function judge(given: Case): Promise<Verdict> {
  const { house, leads, kept } = given;
  const stored = await allEvents(house);
  const violations: string[] = [];
  const say = (isWrong: boolean, what: string): void => {
    if (isWrong) violations.push(what);
  };
  const events = compareEvents(stored, kept);
  say(events.lost.length > 0, `lost: ${events.lost.slice(0, 5).join('; ')}`);
  say(
    events.doubled.length > 0,
    `stored twice or made up: ${events.doubled.slice(0, 5).join('; ')}`,
  );
  say(events.gaps > 0, `${events.gaps} gaps in the numbers of the log`);

  const swaps = [...kept.values()].flatMap(({ diary }) => diary.swaps);
  const done = swaps.filter(({ done_at }) => done_at !== null);
  const twice = done.length - new Set(done.map(({ command_id }) => command_id)).size;
  say(twice > 0, `${twice} swaps were done again for the same command`);

  let wrong = 0;
  let stuck = 0;
  const most: Record<string, string> = {};
  for (const lead of leads) {
    const { rollout, version, downMax } = lead;
    if (rollout.status !== 'complete') {
      stuck += 1;
      violations.push(`rollout ${version} is ${rollout.status} (${rollout.reason})`);
    }
    for (const node of lead.nodes) {
      const runs = kept.get(node)?.services[given.service]?.current ?? null;
      const should = lead.bad.has(node) ? lead.from : version;
      if (runs === should) continue;
      wrong += 1;
      say(wrong <= 3, `${node} runs ${runs ?? 'nothing'}, not ${should}`);
    }
    const atOnce = mostAtOnce(swaps.filter((swap) => swap.version === version));
    most[version] = `${atOnce} of ${downMax}`;
    say(atOnce > downMax, `${atOnce} nodes swapped at once to ${version}; ${downMax} may`);
  }
  const proof = await verified(house, given.folder);
  say(!proof.audit.startsWith('ok'), `audit ${proof.audit}`);
  say(!proof.events.startsWith('ok'), `events ${proof.events}`);
  const results = swaps.map(({ result }) => result);
  return {
    violations,
    numbers: {
      commands: new Set(stored.flatMap(({ command_id }) => command_id ?? [])).size,
      upgraded: results.filter((result) => result === 'succeeded').length,
      rolled_back: results.filter((result) => result === 'rolled_back').length,
      swaps: swaps.length,
      swaps_twice: twice,
      most_at_once: most,
      events_stored: stored.length,
      events_made: events.made,
      events_lost: events.lost.length,
      events_doubled: events.doubled.length,
      gaps: events.gaps,
      wrong_version: wrong,
      ...{ stuck, resumed: given.resumed, recover_ms: given.recoverMs },
      audit: proof.audit,
      events_verified: proof.events,
    },
  };
}

/** By node, command and type; how many of each. */
export function compareEvents(stored: readonly Event[], kept: ReadonlyMap<string, Kept>) {
  const made = [...kept].flatMap(([node, { diary }]) =>
    diary.events
      .filter(({ category }) => category === 'upgrade')
      .map((event) => keyOf(node, event)),
  );
  const told = stored.flatMap((event) =>
    event.category === 'upgrade' && event.node_id !== null && event.command_id !== null
      ? keyOf(event.node_id, event)
      : [],
  );
  const [byNodes, byManager] = [counted(made), counted(told)];
  return {
    made: made.length,
    lost: missing(byNodes, byManager),
    doubled: missing(byManager, byNodes),
    gaps: stored.filter(({ id }, index) => id !== index + 1).length,
  };
}
