import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PROGRAMS = fileURLToPath(new URL('..', import.meta.url));

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Runs one command to its end and gives what it printed; throws that when it failed. */
export async function command(
  program: 'cli' | 'agent',
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(process.execPath, [join(PROGRAMS, program, 'main.js'), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.slice(0, 2).join(' ')} failed: ${said}`);
  return said;
}

/** The processes and files of one demo; nothing of it is left after `clear`. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'bellwether-demo-'));
  readonly #children: ChildProcess[] = [];

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Starts the manager; resolves with its address and the one-time set-up token. */
  async startManager(): Promise<{ url: string; setupToken: string }> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const manager = this.#start('manager', ['server/main.js'], {
      BELLWETHER_DATA_DIR: this.path('manager'),
      BELLWETHER_PORT: String(port),
      // A demo has no time for the patience of a fleet.
      BELLWETHER_PERMIT_LEASE_MS: '2000',
      BELLWETHER_HEARTBEAT_MS: '5000',
    });
    for (let tries = 0; tries < 300; tries += 1) {
      if (manager.exitCode !== null) break;
      const isUp = await fetch(`${url}/healthz`).then(
        (response) => response.ok,
        () => false,
      );
      if (isUp) return { url, setupToken: this.#setupToken() };
      await sleep(100);
    }
    throw new Error(`the manager did not start: ${readFileSync(this.path('manager.log'), 'utf8')}`);
  }

  /** Enrolls an agent, describes its service and its policy, and starts it. */
  async startAgent(agent: {
    readonly name: string;
    readonly manager: string;
    readonly token: string;
    readonly publicKey: string;
  }): Promise<{ nodeId: string; port: number }> {
    const dir = this.path('nodes', agent.name);
    const root = join(dir, 'edge');
    const port = await freePort();
    const args = ['enroll', '--dir', dir, '--manager', agent.manager, '--token', agent.token];
    await command('agent', [...args, '--name', agent.name]);
    mkdirSync(root, { recursive: true });
    const health = `{ kind = "http", url = "http://127.0.0.1:${port}/health", interval_secs = 0.5 }`;
    writeFileSync(
      join(dir, 'agent.toml'),
      [
        `manager = "${agent.manager}"`,
        '[[services]]',
        'name = "edge"',
        'product = "edge"',
        `root = ${JSON.stringify(root)}`,
        'exec = "bin/edge"',
        `env = { PORT = "${port}" }`,
        `health = ${health}`,
      ].join('\n'),
    );
    writeFileSync(
      join(root, 'policy.toml'),
      [
        'enabled = true',
        'boot_health_window_secs = 3',
        '[[signers]]',
        'name = "release pipeline"',
        `public_key = "${agent.publicKey}"`,
      ].join('\n'),
      { mode: 0o640 },
    );
    this.#start(`agent-${agent.name}`, ['agent/main.js', 'run', '--stop-services', '--dir', dir]);
    const identity = JSON.parse(readFileSync(join(dir, 'identity.json'), 'utf8')) as {
      node_id: string;
    };
    return { nodeId: identity.node_id, port };
  }

  /** Ends every process that was started here, agents before the manager, and removes the files. */
  async clear(): Promise<void> {
    for (const children of [this.#children.slice(1), this.#children.slice(0, 1)]) {
      for (const child of children) child.kill('SIGTERM');
      await Promise.all(children.map(ended));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  #setupToken(): string {
    return readFileSync(this.path('manager', 'setup-token'), 'utf8').trim();
  }

  #start(name: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const log = openSync(this.path(`${name}.log`), 'a');
    const [program = '', ...rest] = args;
    const child = spawn(process.execPath, [join(PROGRAMS, program), ...rest], {
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#children.push(child);
    return child;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await once(child, 'exit');
  clearTimeout(timer);
}
