import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ROUTES, type Answer } from '../../protocol/api/index.js';
import { cast } from './casting.js';
import { Crew } from './crew.js';
import { readGroups, readInventory } from './inventory.js';
import { judge, type Finding } from './judge.js';
import { judgeAddress } from './manager-address.js';
import { readOptions, type Options } from './options.js';
import type { Order } from './orders.js';
import { startOwnManager, type OwnManager } from './own-manager.js';
import { addressesOf, makeClient, type Client } from './parts.js';
import { patiently } from './patience.js';
import { Picture } from './picture.js';
import { hastened, readPlan, withStands, type PlanFields } from './plan.js';
import { Play, type Played } from './play.js';
import { publishNothing, type Platform } from './release.js';
import { copyInventory, makeFleet, type Fleet } from './stage.js';
import { Worker } from './worker.js';

const PRODUCT = 'edge';
const AGENT_VERSION = '0.1.0';
/** A rollout of 50 000 nodes is planned and written within it. */
const ANSWER_MS_MAX = 180_000;

interface Door {
  readonly url: URL;
  readonly token: string;
  readonly client: Client;
  readonly own: OwnManager | null;
}

async function openDoor(options: Options): Promise<Door> {
  const own = options.manager === null ? await startOwnManager(process.env['PATH'] ?? '') : null;
  const url = judgeAddress(own?.url ?? options.manager ?? '', options.consent);
  const token = own?.token ?? (await readToken(options.tokenFile));
  const client = makeClient({
    manager: url,
    routes: addressesOf(ROUTES),
    headers: () => ({ authorization: `Bearer ${token}` }),
    timeoutMs: ANSWER_MS_MAX,
  });
  return { url, token, client, own };
}

async function readToken(file: string | null): Promise<string> {
  const token =
    file === null ? (process.env['BELLWETHER_TOKEN'] ?? '') : await readFile(file, 'utf8');
  if (token.trim() !== '') return token.trim();
  throw new Error('no token: give --token-file, or BELLWETHER_TOKEN');
}

/** The plan of the scenario, or the one that is rehearsed; null: nothing is rolled out. */
async function planOf(
  options: Options,
  fleet: Fleet,
  say: (text: string) => void,
): Promise<PlanFields | null> {
  const { scenario } = options;
  if (options.plan === null) {
    if (scenario.rollout === null) return null;
    const version = `2.0.${Math.floor(Date.now() / 1_000)}`;
    return { ...scenario.rollout, product: PRODUCT, version, scope: { group_id: fleet.groupId } };
  }
  const { plan, changes } = hastened(await readPlan(options.plan), options.settleSeconds);
  for (const change of changes) say(`not waited for: ${change}`);
  return withStands(plan, fleet.stands);
}

async function beginRollout(
  door: Door,
  fleet: Fleet,
  plan: PlanFields,
): Promise<Answer<'rollouts.show'>> {
  const {
    product,
    version,
    channel = 'stable',
  } = plan as {
    product: string;
    version: string;
    channel?: 'stable';
  };
  const platforms = new Map<string, Platform>();
  for (const { os, arch, services } of fleet.seeds) {
    for (const service of services.filter((one) => one.product === product)) {
      const platform = { os, arch, variant: service.variant };
      platforms.set(Object.values(platform).join('/'), platform);
    }
  }
  if (platforms.size === 0) throw new Error(`no node has ${product}`);
  const wanted = { product, version, channel, platforms: [...platforms.values()] };
  await patiently(() => publishNothing(door.client, door.token, wanted));
  // Named, so that asking again makes no second one.
  const headers = { 'idempotency-key': randomUUID() };
  return patiently(() => door.client.call('rollouts.create', { body: plan as never }, { headers }));
}

async function gather(options: Options, door: Door, say: (text: string) => void): Promise<Fleet> {
  const { scenario, seed, inventory } = options;
  const nodes = inventory === null ? null : await readInventory(inventory);
  const count = nodes?.length ?? options.nodes;
  let saidAt = Date.now();
  const wanted = {
    client: door.client,
    origin: door.url.origin,
    faults: cast(scenario.faults, count, seed),
    onProgress: (done: number): void => {
      if (Date.now() - saidAt < 5_000) return;
      saidAt = Date.now();
      say(`${done} enrolled`);
    },
  };
  if (nodes !== null) {
    const groups = options.groups === null ? [] : await readGroups(options.groups);
    return copyInventory({ ...wanted, nodes, groups });
  }
  const { group, identities: file } = options;
  const name = `simulated ${scenario.name} ${seed}`;
  return makeFleet({ ...wanted, count, product: PRODUCT, group, file, name });
}

async function play(options: Options, door: Door, picture: Picture): Promise<number> {
  const { scenario, seed } = options;
  const say = (text: string): void => {
    picture.say(text);
  };
  say(`${scenario.name}: ${scenario.about}; seed ${seed}`);
  const startedAt = performance.now();
  const fleet = await gather(options, door, say);
  const { seeds } = fleet;
  say(
    `${seeds.length} nodes are enrolled after ${Math.round((performance.now() - startedAt) / 1_000)} s`,
  );
  const plan = await planOf(options, fleet, say);
  const begin = {
    urls: [door.url.origin],
    origin: door.url.origin,
    caPem: null,
    seed,
    work: scenario.work,
    agentVersion: AGENT_VERSION,
  };
  const crew = await Crew.start(begin, seeds, options.workers);
  try {
    const played = await new Play({
      ...{ scenario, crew, seeds, client: door.client },
      connectsPerSecond: options.connectsPerSecond,
      begin: plan === null ? null : () => beginRollout(door, fleet, plan),
      show: (look) => {
        picture.draw(look);
      },
    }).run();
    // A rehearsal is judged by the people who look at it, but for what must always hold.
    const expect =
      options.plan === null ? scenario.expect : { rollout: [], at_least: {}, at_most: {} };
    const findings = judge(expect, { ...played, nodes: seeds.length });
    tell(options, { played, findings, nodes: seeds.length }, say);
    return findings.every(({ isTrue }) => isTrue) ? 0 : 1;
  } finally {
    await crew.stop();
  }
}

function tell(
  options: Options,
  end: { readonly played: Played; readonly findings: readonly Finding[]; readonly nodes: number },
  say: (text: string) => void,
): void {
  const { report, rollout, connectedInMs, backInMs } = end.played;
  for (const { what, isTrue } of end.findings) say(`${isTrue ? 'yes' : 'NO '}  ${what}`);
  for (const wave of rollout?.waves ?? []) {
    const counts = Object.entries(wave.counts).map(([state, count]) => `${count} ${state}`);
    say(
      `     wave ${wave.index + 1} ${wave.name}: ${wave.status}, ${wave.size} nodes, ${counts.join(', ')}`,
    );
  }
  if (backInMs !== null) say(`     99 in 100 were back after ${Math.round(backInMs)} ms`);
  if (!options.isJson) return;
  const { name } = options.scenario;
  const { seed } = options;
  const json = {
    ...{ scenario: name, seed, nodes: end.nodes, ok: end.findings.every(({ isTrue }) => isTrue) },
    findings: end.findings.map(({ what, isTrue }) => ({ what, ok: isTrue })),
    connected_in_ms: Math.round(connectedInMs),
    back_in_ms: backInMs === null ? null : Math.round(backInMs),
    rollout: rollout && {
      ...{ id: rollout.id, status: rollout.status, reason: rollout.reason },
      waves: rollout.waves.map(({ name: wave, status, size, counts }) => ({
        name: wave,
        status,
        size,
        counts,
      })),
    },
    report,
  };
  process.stdout.write(`${JSON.stringify(json)}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const options = await readOptions(args);
  if (typeof options === 'string') {
    process.stdout.write(`${options}\n`);
    return 0;
  }
  const door = await openDoor(options);
  // A manager of its own must not outlive an interrupt; the workers see that nobody is left.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void (door.own?.stop() ?? Promise.resolve()).finally(() => process.exit(130));
    });
  }
  try {
    return await play(options, door, new Picture(options.isJson ? process.stderr : process.stdout));
  } finally {
    await door.own?.stop();
  }
}

if (process.argv[2] === '--worker') {
  const worker = new Worker((told) => process.send?.(told));
  process.on('message', (order: Order) => {
    worker.take(order);
  });
  // Nobody is left to look at it.
  process.on('disconnect', () => process.exit(0));
} else {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`fleet: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  });
}
