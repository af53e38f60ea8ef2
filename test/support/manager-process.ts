import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTempDir } from './databases.js';
import { freePort } from './fleet.js';
import { callRoute, type TestManager } from './manager.js';

/** A manager in a process of its own, that can be killed and started again on its data. */
export interface ManagerProcess extends Pick<TestManager, 'url' | 'admin' | 'call'> {
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** Starts it again; resolves when it answers. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

const STARTED = '"msg":"manager started"';

export async function startManagerProcess(
  programs: string,
  env: Readonly<Record<string, string>> = {},
): Promise<ManagerProcess> {
  const dir = makeTempDir();
  let port = await freePort();
  let url = `http://127.0.0.1:${port}`;
  const log = join(dir.path, 'manager.log');
  let child: ChildProcess | null = null;
  let admin = '';

  const start = async (): Promise<void> => {
    const started = spawn(process.execPath, [join(programs, 'server', 'main.js')], {
      env: {
        ...process.env,
        BELLWETHER_DATA_DIR: join(dir.path, 'data'),
        BELLWETHER_PORT: String(port),
        ...env,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    started.stderr.on('data', (chunk: Buffer) => {
      if (!said.includes(STARTED)) said += chunk.toString();
      writeFileSync(log, chunk, { flag: 'a' });
    });
    child = started;
    for (;;) {
      if (started.exitCode !== null) throw new Error(readFileSync(log, 'utf8'));
      const isUp = await fetch(`${url}/healthz`).then(
        (response) => response.ok,
        () => false,
      );
      // Between two specs the same free port may be found twice; what answers is then another's.
      if (isUp && said.includes(STARTED)) return;
      await sleep(50);
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  const call: TestManager['call'] = (name, given = {}, token = admin) =>
    callRoute(url, name, given, token);

  await start().catch(async () => {
    port = await freePort();
    url = `http://127.0.0.1:${port}`;
    await start();
  });
  const setupToken = readFileSync(join(dir.path, 'data', 'setup-token'), 'utf8').trim();
  const setup = { setup_token: setupToken, name: 'first admin' };
  admin = (await call('setup.finish', { body: setup }, null)).body.secret;
  return {
    url,
    admin,
    call,
    start,
    kill: () => end('SIGKILL'),
    stop: async () => {
      await end('SIGTERM');
      dir.remove();
    },
  };
}
