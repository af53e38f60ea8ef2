import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import {
  ROUTES,
  type Answer,
  type Call,
  type Route,
  type RouteName,
} from '../../src/protocol/api/index.js';
import {
  enrollmentProofText,
  makeNodeToken,
  rawPublicKey,
  type EnrollRequest,
  type Hello,
  type Host,
} from '../../src/protocol/node/index.js';
import { writeArrivals } from '../../src/server/fleet/arrivals.store.js';
import { startManager, type Manager } from '../../src/server/manager.js';
import { loadConfig, newId, type Database, type Tx } from '../../src/server/platform/index.js';
import { makeTempDir, silentLog } from './databases.js';
import { putMigratedSqlite } from './run/migrated.js';

/** A clock that stands still until it is told to move; starts at the real time, for node tokens. */
export interface TestClock {
  now(): number;
  advance(ms: number): void;
}

export function makeClock(): TestClock {
  let offsetMs = 0;
  return { now: () => Date.now() + offsetMs, advance: (ms) => void (offsetMs += ms) };
}

/** An answer as it came over the wire. */
export interface Reply<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

/** What a problem document holds, as far as specs look at it. */
export interface ProblemBody {
  readonly code: string;
  readonly detail: string;
  readonly request_id: string;
  readonly problems?: readonly { readonly path: string; readonly message: string }[];
  readonly context?: Readonly<Record<string, unknown>>;
}

export interface TestManager {
  readonly manager: Manager;
  readonly url: string;
  readonly clock: TestClock;
  /** Secret of a super admin. */
  readonly admin: string;
  /** Calls a route of the table; `token` null sends no credential. */
  call<N extends RouteName>(
    name: N,
    given?: Partial<Call<N>>,
    token?: string | null,
  ): Promise<Reply<Answer<N> & ProblemBody>>;
  /** Makes a group below another and gives its id. */
  group(name: string, parentId?: string): Promise<string>;
  /** Makes an API token and gives its secret. */
  token(role: string, groupId?: string | null): Promise<string>;
  /** Enrolls a node and gives what it knows. */
  node(groupId?: string, name?: string): Promise<TestNode>;
  stop(): Promise<void>;
}

export interface TestNode {
  readonly id: string;
  readonly key: KeyObject;
  /** A fresh token for one request. */
  token(): string;
}

export const aHost = (hostname = 'edge-01'): Host => ({
  os: 'linux',
  arch: 'x64',
  hostname,
  kernel: '6.12.9',
  memory_bytes: 8 * 1024 ** 3,
  labels: { site: 'fra' },
});

/** The body of an enrollment that proves its key to this origin. */
export function enrollBody(options: {
  readonly token: string;
  readonly origin: string;
  readonly key: KeyObject;
  readonly name?: string;
}): EnrollRequest {
  const publicKey = rawPublicKey(options.key);
  const text = enrollmentProofText(options.origin, options.token, publicKey);
  return {
    token: options.token,
    name: options.name ?? 'edge-01',
    public_key: publicKey,
    proof: sign(null, Buffer.from(text), options.key).toString('base64url'),
    host: aHost(options.name),
  };
}

export function requestOf(
  name: RouteName,
  given: { params?: unknown; query?: unknown },
): { method: string; path: string } {
  const route: Route = ROUTES[name];
  const params = (given.params ?? {}) as Record<string, string>;
  const path = route.path.replace(/:([a-z]+)/g, (_, key: string) =>
    encodeURIComponent(params[key] ?? `missing_${key}`),
  );
  const query = new URLSearchParams(
    Object.entries((given.query ?? {}) as Record<string, unknown>).flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map((one): [string, string] => [key, String(one)]),
    ),
  );
  return { method: route.method, path: query.size > 0 ? `${path}?${query.toString()}` : path };
}

/** Calls a route of whatever answers at `url`; the answer is told as it came, whatever its status. */
export async function callRoute(
  url: string,
  name: RouteName,
  given: { params?: unknown; query?: unknown; body?: unknown },
  token: string | null,
): Promise<Reply<never>> {
  const { method, path } = requestOf(name, given);
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: given.body === undefined ? null : JSON.stringify(given.body),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? undefined : JSON.parse(text)) as never,
  };
}

/** A manager that runs, and what ends it. */
export interface RunningManager {
  readonly manager: Manager;
  readonly url: string;
  readonly clock: TestClock;
  stop(): Promise<void>;
}

/** A whole manager on a free port and in a directory of its own; nobody has set it up yet. */
export async function startUnsetTestManager(
  env: Readonly<Record<string, string>> = {},
  more: { readonly consoleDir?: string } = {},
): Promise<RunningManager> {
  const dir = makeTempDir();
  if (!('DATABASE_URL' in env || 'BELLWETHER_DATA_DIR' in env)) await putMigratedSqlite(dir.path);
  const clock = makeClock();
  const config = loadConfig({ BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0', ...env });
  const manager = await startManager({ config, log: silentLog, clock, ...more });
  return {
    manager,
    url: manager.config.publicUrl,
    clock,
    stop: async () => {
      await manager.stop();
      dir.remove();
    },
  };
}

const expectOk = async <T>(reply: Promise<Reply<T>>): Promise<T> => {
  const { status, body } = await reply;
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body;
};

/** Trades an enrollment token as an agent does; resolves with what the node knows then. */
export async function enrollTestNode(
  { url, clock }: Pick<RunningManager, 'url' | 'clock'>,
  secret: string,
  name: string,
): Promise<TestNode> {
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const body = enrollBody({ token: secret, origin: url, key, name });
  const reply: Promise<Reply<Answer<'enrollment.enroll'>>> = callRoute(
    url,
    'enrollment.enroll',
    { body },
    null,
  );
  const { node_id: id } = await expectOk(reply);
  const given = { nodeId: id, origin: url, key };
  return {
    id,
    key,
    token: () => makeNodeToken({ ...given, nowMs: clock.now(), jti: newId('jti') }),
  };
}

/** The same manager for specs, whose `admin` is the secret of a super admin. */
export function asTestManager(running: RunningManager, admin: string): TestManager {
  const call: TestManager['call'] = (name, given = {}, token = admin) =>
    callRoute(running.url, name, given, token);
  return {
    ...running,
    admin,
    call,
    group: async (name, parentId = 'grp_default') =>
      (await expectOk(call('groups.create', { body: { name, parent_id: parentId } }))).id,
    token: async (role, groupId = null) => {
      const body = { name: `a ${role}`, role: role as 'viewer', group_id: groupId };
      return (await expectOk(call('tokens.create', { body }))).secret;
    },
    node: async (groupId = 'grp_default', name = 'edge-01') => {
      const made = await expectOk(call('enrollment.create', { body: { group_id: groupId } }));
      return enrollTestNode(running, made.secret, name);
    },
  };
}

/** A whole manager with its first admin. */
export async function startTestManager(
  env: Readonly<Record<string, string>> = {},
  more: { readonly consoleDir?: string } = {},
): Promise<TestManager> {
  const running = await startUnsetTestManager(env, more);
  const body = { setup_token: running.manager.setupToken ?? '', name: 'first admin' };
  const reply: Promise<Reply<Answer<'setup.finish'>>> = callRoute(
    running.url,
    'setup.finish',
    { body },
    null,
  );
  return asTestManager(running, (await expectOk(reply)).secret);
}

/** A node comes and says this, without a manager that holds its link. True when it was not here. */
export async function comes(
  tx: Tx,
  { kind }: Pick<Database, 'kind'>,
  nodeId: string,
  said: {
    readonly hello: Hello;
    readonly now: number;
    readonly transport?: 'socket' | 'poll';
  },
): Promise<boolean> {
  const { hello, now, transport = 'socket' } = said;
  const was = await writeArrivals(tx, kind, [{ nodeId, hello, transport, link: null }], now);
  return was.get(nodeId)?.isOnline === false;
}

/** It is away since then, as its row tells. */
export const isGone = (tx: Tx, nodeId: string, since: number): Promise<number> =>
  tx.run(`UPDATE nodes SET status = 'offline', last_seen_at = ? WHERE id = ?`, [since, nodeId]);
