import { generateKeyPairSync } from 'node:crypto';
import type { Answer } from '../../src/protocol/api/index.js';
import { makeNodeToken } from '../../src/protocol/node/index.js';
import { startManager } from '../../src/server/manager.js';
import { loadConfig, newId } from '../../src/server/platform/index.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import {
  callRoute,
  enrollBody,
  makeClock,
  type TestManager,
  type TestNode,
} from '../support/manager.js';
import { CONSOLE_DIR } from './stage.js';

/** A manager that nobody has set up yet, with a console. */
export interface UnsetManager {
  readonly url: string;
  readonly setupToken: string;
  /** Trades an enrollment token as an agent does; resolves with what the node knows then. */
  enroll(token: string, name: string): Promise<TestNode>;
  /** The same manager for specs, once `secret` is that of an admin. */
  as(secret: string): TestManager;
  stop(): Promise<void>;
}

export async function startUnsetManager(
  env: Readonly<Record<string, string>> = {},
): Promise<UnsetManager> {
  const dir = makeTempDir();
  const clock = makeClock();
  const config = loadConfig({ BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0', ...env });
  const manager = await startManager({ config, log: silentLog, clock, consoleDir: CONSOLE_DIR });
  const url = manager.config.publicUrl;
  const stop = async (): Promise<void> => {
    await manager.stop();
    dir.remove();
  };
  const enroll: UnsetManager['enroll'] = async (token, name) => {
    const { privateKey: key } = generateKeyPairSync('ed25519');
    const body = enrollBody({ token, origin: url, key, name });
    const reply = await callRoute(url, 'enrollment.enroll', { body }, null);
    if (reply.status !== 201) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
    const { node_id: nodeId } = reply.body as Answer<'enrollment.enroll'>;
    const given = { nodeId, origin: url, key };
    return {
      id: nodeId,
      key,
      token: () => makeNodeToken({ ...given, nowMs: clock.now() + 1000, jti: newId('jti') }),
    };
  };
  const as = (admin: string): TestManager => {
    const call: TestManager['call'] = (name, given = {}, token = admin) =>
      callRoute(url, name, given, token);
    const made = async <T>(reply: Promise<{ status: number; body: T }>): Promise<T> => {
      const { status, body } = await reply;
      if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body;
    };
    return {
      manager,
      url,
      clock,
      admin,
      call,
      group: async (name, parentId = 'grp_default') =>
        (await made(call('groups.create', { body: { name, parent_id: parentId } }))).id,
      token: async (role, groupId = null) => {
        const body = { name: `a ${role}`, role: role as 'viewer', group_id: groupId };
        return (await made(call('tokens.create', { body }))).secret;
      },
      node: async (groupId = 'grp_default', name = 'edge-01') => {
        const token = await made(call('enrollment.create', { body: { group_id: groupId } }));
        return enroll(token.secret, name);
      },
      stop,
    };
  };
  return { url, setupToken: manager.setupToken ?? '', enroll, as, stop };
}
