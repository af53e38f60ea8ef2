import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../src/core/kernel/index.js';
import { makeMigratedPostgres, makeTempDir } from './databases.js';
import { eventually, freePort, type ManagerApi } from './fleet.js';
import { callRoute } from './manager.js';
import { shareData } from './several/managers.js';

/** Something that can be killed as a power cut would, and comes back. */
export interface Victim {
  kill(): Promise<void>;
  /** Resolves when it is up again. */
  start(): Promise<void>;
}

/** A process that runs, can be killed, and comes back. */
export class Mortal implements Victim {
  #child: ChildProcess | null = null;

  constructor(
    private readonly spawn: () => ChildProcess,
    private readonly isUp: () => Promise<boolean>,
  ) {}

  async start(): Promise<void> {
    const child = this.spawn();
    this.#child = child;
    for (let tries = 0; tries < 1_200; tries += 1) {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      if (await this.isUp().catch(() => false)) return;
      await sleep(25);
    }
    throw new Error('it does not come up');
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** It stands still, as on a machine that was put to sleep. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** As whoever changes its version would; resolves when it is through. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

/** Managers in processes of their own over one database; several only on PostgreSQL. */
export interface ManagerCrew extends ManagerApi {
  readonly urls: readonly string[];
  readonly managers: readonly Mortal[];
  stop(): Promise<void>;
}

export async function startManagerCrew(plan: {
  /** Where `tsc` put the programs. */
  readonly programs: string;
  readonly database: 'sqlite' | 'postgres';
  readonly count: number;
  readonly env?: Readonly<Record<string, string>>;
  /** By which nodes reach them; left out, by the address of the first one. */
  readonly publicUrl?: string;
}): Promise<ManagerCrew> {
  const dir = makeTempDir();
  const database = plan.database === 'postgres' ? await makeMigratedPostgres() : null;
  const urls: string[] = [];
  const managers: Mortal[] = [];
  let admin = '';
  const call: ManagerApi['call'] = (name, given = {}, token = admin) =>
    callRoute(urls[0] ?? '', name, given, token);
  const stop = async (): Promise<void> => {
    await Promise.all(managers.map((manager) => manager.kill()));
    await database?.drop();
    dir.remove();
  };
  const add = async (dataDir: string): Promise<void> => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    urls.push(url);
    const env = {
      ...process.env,
      BELLWETHER_LOG_LEVEL: 'silent',
      ...plan.env,
      ...(database === null ? {} : { DATABASE_URL: database.url }),
      BELLWETHER_DATA_DIR: dataDir,
      BELLWETHER_PORT: `${port}`,
      BELLWETHER_PUBLIC_URL: plan.publicUrl ?? urls[0] ?? url,
    };
    const program = join(plan.programs, 'server', 'main.js');
    const manager = new Mortal(
      () => spawn(process.execPath, [program], { env, stdio: 'ignore' }),
      async () => (await fetch(`${url}/healthz`)).ok,
    );
    managers.push(manager);
    await manager.start();
  };
  try {
    const first = join(dir.path, '0');
    await add(first);
    // It answers a moment before it has written that.
    const token = await eventually(async () =>
      readFileSync(join(first, 'setup-token'), 'utf8').trim(),
    );
    const body = { setup_token: token, name: 'first admin' };
    const finished = await call('setup.finish', { body }, null);
    if (finished.status >= 300) throw new Error(`set-up: ${JSON.stringify(finished.body)}`);
    admin = finished.body.secret;
    for (let index = 1; index < plan.count; index += 1) {
      const dataDir = join(dir.path, `${index}`);
      shareData(first, dataDir);
      await add(dataDir);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: urls[0] ?? '', urls, admin, call, managers, stop };
}

/**
 * Kills at random and starts again what it killed, so often. Several hands strike at once, so that one is
 * killed while another is still coming back; each victim lived a random moment before. Resolves with how
 * often each was killed, when all of them are up.
 */
export async function strike(plan: {
  /** Listed more than once is struck more often. */
  readonly victims: readonly Victim[];
  readonly kills: number;
  readonly hands: number;
  readonly random: Random;
  readonly pauseMsMax: number;
  readonly onKill?: (kills: number) => void;
}): Promise<ReadonlyMap<Victim, number>> {
  const { victims, kills, hands, random, pauseMsMax, onKill } = plan;
  const killed = new Map<Victim, number>();
  const struck = new Set<Victim>();
  let begun = 0;
  let done = 0;
  const hand = async (): Promise<void> => {
    while (begun < kills) {
      begun += 1;
      const victim = victims[random.below(victims.length)] as Victim;
      // Not another one: who is slow to come back would be killed less often.
      while (struck.has(victim)) await sleep(10);
      struck.add(victim);
      await sleep(random.below(pauseMsMax));
      await victim.kill();
      await sleep(random.below(200));
      await victim.start();
      struck.delete(victim);
      killed.set(victim, (killed.get(victim) ?? 0) + 1);
      done += 1;
      onKill?.(done);
    }
  };
  await Promise.all(Array.from({ length: hands }, hand));
  return killed;
}
