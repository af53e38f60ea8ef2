import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { startManager } from '../../../src/server/manager.js';
import { loadConfig } from '../../../src/server/platform/index.js';
import { Members } from '../../../src/server/platform/members/index.js';
import { makeMigratedPostgres, makeTempDir, silentLog } from '../databases.js';
import { callRoute, startTestManager, type TestManager } from '../manager.js';
import { freshPrefix, redisUrl } from '../redis.js';

/** Keys that managers on one database share. */
const SHARED = /\.key$|sealed\.json$/;

/** Their keys, and one store of artifacts. */
export function shareData(from: string, to: string): void {
  mkdirSync(to, { mode: 0o700, recursive: true });
  symlinkSync(join(from, 'blobs'), join(to, 'blobs'));
  for (const name of readdirSync(from).filter((file) => SHARED.test(file))) {
    cpSync(join(from, name), join(to, name));
  }
}

/** One of several managers in this process. What is enrolled at any of them is known to all. */
export interface OneOfSeveral extends TestManager {
  /** As it is written beside the nodes that it holds. */
  readonly id: string;
  readonly get: <T>(token: (abstract new (...given: never[]) => T) | symbol) => T;
}

export interface SeveralManagers {
  readonly all: readonly OneOfSeveral[];
  /** One more on the same database and Redis. */
  add(): Promise<OneOfSeveral>;
  stop(): Promise<void>;
}

/** Managers on one PostgreSQL and one Redis, whose nodes go by the address of the first one. */
export async function startManagers(
  count: number,
  given: Readonly<Record<string, string>> = {},
): Promise<SeveralManagers> {
  const postgres = await makeMigratedPostgres();
  const dir = makeTempDir();
  const env = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redisUrl(),
    BELLWETHER_REDIS_PREFIX: freshPrefix(),
    BELLWETHER_DRAIN_MS: '0',
    ...given,
  };
  const firstDir = join(dir.path, '0');
  const first = await startTestManager({ ...env, BELLWETHER_DATA_DIR: firstDir });
  const all: OneOfSeveral[] = [oneOf(first)];
  const add = async (): Promise<OneOfSeveral> => {
    const dataDir = join(dir.path, `${all.length}`);
    shareData(firstDir, dataDir);
    const config = loadConfig({
      BELLWETHER_PORT: '0',
      ...env,
      BELLWETHER_DATA_DIR: dataDir,
      BELLWETHER_PUBLIC_URL: first.url,
    });
    const manager = await startManager({ config, log: silentLog, clock: first.clock });
    const url = `http://127.0.0.1:${manager.config.port}`;
    const one = oneOf({
      ...first,
      manager,
      url,
      call: (name, call = {}, token = first.admin) => callRoute(url, name, call, token),
      stop: () => manager.stop(),
    });
    all.push(one);
    return one;
  };
  while (all.length < count) await add();
  return {
    all,
    add,
    stop: async () => {
      for (const one of all) await one.stop();
      await postgres.drop();
      dir.remove();
    },
  };
}

function oneOf(manager: TestManager): OneOfSeveral {
  const { app } = manager.manager;
  return {
    ...manager,
    get id() {
      return app.get(Members).id;
    },
    get: (token) => app.get(token as never),
  };
}
