import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { makePostgresDatabase, makeTempDir } from '../support/databases.js';
import {
  eventually,
  freePort,
  makeSigningKey,
  publish,
  startAgent,
  type ManagerApi,
  type TestAgent,
} from '../support/fleet.js';
import { Mortal } from '../support/manager-crew.js';
import { callRoute } from '../support/manager.js';

/** Real programs: a manager is backed up in the middle of a rollout, lost, and brought back elsewhere. */
const dir = makeTempDir();
const key = makeSigningKey();
const agents: TestAgent[] = [];
const cleanUps: (() => unknown)[] = [() => dir.remove()];
let programs: ReturnType<typeof buildPrograms>;
let port = 0;
let api: ManagerApi;

type Env = Readonly<Record<string, string>>;

const program = (): string => join(programs.path, 'server', 'main.js');
const envOf = (env: Env): Record<string, string | undefined> => ({
  ...process.env,
  BELLWETHER_PORT: String(port),
  BELLWETHER_LOG_LEVEL: 'silent',
  ...env,
});

/** One command of the manager, as an operator gives it. */
function manage(env: Env, ...words: readonly string[]): string {
  const done = spawnSync(process.execPath, [program(), ...words], {
    env: envOf(env),
    encoding: 'utf8',
  });
  expect(done.stderr + done.stdout, words.join(' ')).not.toContain('failed');
  expect(done.status, done.stderr).toBe(0);
  return done.stdout;
}

async function startOn(env: Env): Promise<Mortal> {
  const manager = new Mortal(
    () => spawn(process.execPath, [program()], { env: envOf(env), stdio: 'ignore' }),
    async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok,
  );
  await manager.start();
  cleanUps.push(() => manager.kill());
  return manager;
}

const dataDir = (name: string): Env => ({ BELLWETHER_DATA_DIR: join(dir.path, name) });

beforeAll(async () => {
  programs = buildPrograms();
  port = await freePort();
}, 900_000);

afterAll(async () => {
  for (const agent of agents) await agent.stop();
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
  programs.remove();
}, 120_000);

const online = (): Promise<void> =>
  eventually(async () => {
    const { body } = await api.call('nodes.list');
    expect(body.items.map((node) => node.status)).toEqual(agents.map(() => 'online'));
  }, 120_000);

const reaches = (id: string, wanted: object): Promise<void> =>
  eventually(async () => {
    const { body } = await api.call('rollouts.show', { params: { id } });
    expect(body).toMatchObject(wanted);
  }, 120_000);

/** Until its canary is through and the rest waits for a word. */
async function canary(version: string, sequence: number): Promise<string> {
  await publish(api, { folder: dir.path, version, sequence, key });
  const { status, body } = await api.call('groups.upgrade', {
    params: { id: 'grp_default' },
    body: { version, product: 'edge', strategy: 'canary', settle_seconds: 0 },
  });
  expect(status, JSON.stringify(body)).toBe(202);
  await eventually(async () => {
    const { body: targets } = await api.call('rollouts.targets', { params: { id: body.id } });
    expect(targets.items.map(({ state }) => state)).toEqual(['succeeded', 'pending', 'pending']);
  }, 120_000);
  return body.id;
}

const approve = (id: string): Promise<unknown> =>
  eventually(async () => {
    expect((await api.call('rollouts.approve', { params: { id }, body: { wave: 1 } })).status).toBe(
      200,
    );
  }, 60_000);

/** How often nodes say that they swapped for a version, by the version. */
async function swaps(rollout: string): Promise<number> {
  const query = { rollout_id: rollout, limit: 1000 };
  const { body } = await api.call('events.list', { query });
  return body.items.filter(({ type }) => type === 'upgrade_swapping').length;
}

const versions = (): Promise<(string | null)[]> =>
  Promise.all(agents.map((agent) => agent.version()));

it('a rollout goes on where the backup was made, on another store, and nothing is done twice', async () => {
  const first = dataDir('first');
  let manager = await startOn(first);
  const url = `http://127.0.0.1:${port}`;
  const setupToken = readFileSync(join(dir.path, 'first', 'setup-token'), 'utf8').trim();
  const body = { setup_token: setupToken, name: 'first admin' };
  const setup = await callRoute(url, 'setup.finish', { body }, null);
  const admin = (setup.body as { secret: string }).secret;
  api = {
    url,
    admin,
    call: (name, given = {}, token = admin) => callRoute(url, name, given, token),
  };
  for (const name of ['edge-1', 'edge-2', 'edge-3']) {
    const options = { manager: api, programs: programs.path, folder: dir.path, name };
    agents.push(await startAgent({ ...options, publicKey: key.publicKey }));
  }
  await online();
  const one = await canary('1.0.0', 1);
  const told = manage(first, 'backup', join(dir.path, 'backup-1'));
  expect(told).toMatch(/The master key is in it/);
  await manager.kill();

  // On PostgreSQL, with its own data directory: keys and artifacts came along.
  const database = await makePostgresDatabase();
  cleanUps.push(() => database.drop());
  const second = { ...dataDir('second'), DATABASE_URL: database.url };
  expect(manage(second, 'restore', join(dir.path, 'backup-1'), '--check')).toMatch(/is whole/);
  expect(manage(second, 'restore', join(dir.path, 'backup-1'))).toMatch(/^Restored .*\d+ audit/);
  manager = await startOn(second);
  await online();
  await approve(one);
  await reaches(one, { status: 'complete', reason: 'complete' });
  expect(await versions()).toEqual(['1.0.0', '1.0.0', '1.0.0']);
  expect(await swaps(one)).toBe(3);

  // Now it goes on for a while behind the backup: nodes know more than what is brought back.
  const two = await canary('1.1.0', 2);
  manage(second, 'backup', join(dir.path, 'backup-2'));
  await approve(two);
  await reaches(two, { status: 'complete' });
  expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
  await manager.kill();

  const third = dataDir('third');
  manage(third, 'restore', join(dir.path, 'backup-2'));
  await startOn(third);
  await online();
  const before = await swaps(two);
  await approve(two);
  await reaches(two, { status: 'complete' });
  // Those that had done it meanwhile are at the target, and are not asked again.
  expect(await swaps(two)).toBe(before);
  expect(await versions()).toEqual(['1.1.0', '1.1.0', '1.1.0']);
  const events = await api.call('events.list', { query: { limit: 1000 } });
  expect(events.body.items.some(({ type }) => type === 'node_ahead')).toBe(true);

  // And it leads on.
  const three = await canary('1.2.0', 3);
  await approve(three);
  await reaches(three, { status: 'complete', reason: 'complete' });
  expect(await versions()).toEqual(['1.2.0', '1.2.0', '1.2.0']);
  expect((await api.call('audit.checkpoint', {})).status).toBe(200);
}, 900_000);
