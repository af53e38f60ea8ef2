import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as Sdk from '../../src/agent/sdk.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { eventually, freePort, makeSigningKey, publish } from '../support/fleet.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';

/** A service that upgrades itself by the library, as a user would write it. */
const program = (isWell = 'true', then = ''): string => `#!/usr/bin/env node
const http = require('node:http');
const { version } = (() => {
  try { return require('../release.json'); } catch { return { version: 'the first' }; }
})();
(async () => {
  // As the package exports it: \`import ... from 'bellwether/agent'\`.
  const { openSelfUpgrade } = await import(process.env.SDK);
  const upgrade = await openSelfUpgrade({
    dir: process.env.DIR,
    root: process.env.ROOT,
    product: 'edge',
    isWell: () => ${isWell},
    log: () => {},
  });
  const server = http.createServer((request, response) => {
    response.end(JSON.stringify({ version, told: upgrade.status() }));
  }).listen(Number(process.env.PORT), '127.0.0.1');
  process.once('SIGTERM', async () => {
    server.close();
    await upgrade.stop();
    process.exit(0);
  });
  ${then}
})();
`;

/** What keeps it running, as a unit with \`Restart=always\` would. */
class Keeper {
  readonly #paths: { readonly first: string; readonly root: string };
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | null = null;
  #isOver = false;
  #loop: Promise<void> = Promise.resolve();
  starts = 0;

  constructor(paths: { readonly first: string; readonly root: string }, env: NodeJS.ProcessEnv) {
    this.#paths = paths;
    this.#env = env;
  }

  begin(): void {
    this.#loop = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const current = join(this.#paths.root, 'current/bin/edge.cjs');
      const path = existsSync(current) ? current : this.#paths.first;
      this.starts += 1;
      this.#child = spawn(process.execPath, [path], { env: this.#env, stdio: 'ignore' });
      await once(this.#child, 'exit');
      await sleep(50);
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.#child?.kill('SIGTERM');
    await this.#loop;
  }
}

describe('a service that upgrades itself by the library', () => {
  const dir = makeTempDir();
  const key = makeSigningKey();
  const at = (...names: string[]): string => join(dir.path, ...names);
  let programs: ReturnType<typeof buildPrograms>;
  let manager: ManagerProcess;
  let keeper: Keeper;
  let nodeId = '';
  let port = 0;
  let sequence = 0;

  const served = async (): Promise<{ version: string; told: { version: string | null } }> => {
    const response = await fetch(`http://127.0.0.1:${port}/`);
    return (await response.json()) as never;
  };
  const offer = async (version: string, text?: string): Promise<void> => {
    sequence += 1;
    await publish(manager, {
      folder: dir.path,
      version,
      sequence,
      key,
      program: text ?? program(),
    });
    await eventually(async () => {
      const answer = await manager.call('nodes.upgrade', {
        params: { id: nodeId },
        body: { version, product: 'edge' },
      });
      expect(answer.status, JSON.stringify(answer.body)).toBe(202);
    });
  };
  const outcomeIs = (wanted: Record<string, unknown>): Promise<void> =>
    eventually(async () => {
      const state: unknown = JSON.parse(readFileSync(at('root', 'state.json'), 'utf8'));
      expect(state).toMatchObject({ job: null, outcome: wanted });
      const { body } = await manager.call('nodes.show', { params: { id: nodeId } });
      expect(body.services).toMatchObject([{ name: 'edge', outcome: wanted }]);
    }, 40_000);

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startManagerProcess(programs.path);
    const token = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
    // What the package exports under that name, and nothing deeper.
    const about = JSON.parse(readFileSync(join(programs.path, '../../package.json'), 'utf8')) as {
      exports: Record<string, Record<string, string>>;
    };
    const sdk = join(programs.path, '../..', about.exports['./agent']?.['default'] ?? '');
    const { enroll } = (await import(pathToFileURL(sdk).href)) as typeof Sdk;
    const known = await enroll({
      manager: manager.url,
      token: token.body.secret,
      name: 'edge-01',
      dir: at('agent'),
      labels: {},
      allowPlaintext: false,
    });
    nodeId = known.node_id;
    mkdirSync(at('root'));
    const policy = ['enabled = true', 'boot_health_window_secs = 4', '[[signers]]'];
    policy.push('name = "pipeline"', `public_key = "${key.publicKey}"`);
    writeFileSync(at('root', 'policy.toml'), policy.join('\n'), { mode: 0o640 });
    port = await freePort();
    const first = at('first', 'bin', 'edge.cjs');
    mkdirSync(dirname(first), { recursive: true });
    writeFileSync(first, program());
    keeper = new Keeper(
      { first, root: at('root') },
      {
        ...process.env,
        ...{ SDK: pathToFileURL(sdk).href, DIR: at('agent'), ROOT: at('root'), PORT: String(port) },
      },
    );
    keeper.begin();
  }, 120_000);

  afterAll(async () => {
    await keeper.end();
    await manager.stop();
    programs.remove();
    dir.remove();
  });

  it('goes from what was put there by hand to its first release, and on from that', async () => {
    await eventually(async () => {
      expect(await served()).toMatchObject({ version: 'the first', told: { version: null } });
    });
    for (const version of ['1.0.0', '1.1.0']) {
      await offer(version);
      await outcomeIs({ result: 'succeeded', version });
      expect(await served()).toMatchObject({ version, told: { version, healthy: true } });
    }
    // One start each: the process ends once, and only when its links have moved.
    expect(keeper.starts).toBe(3);
  });

  it.each([
    ['says that it is not well', '1.2.0', program('false'), 'upgrade_unhealthy'],
    ['never says how it is', '1.3.0', program('new Promise(() => {})'), 'upgrade_unhealthy'],
    [
      'ends soon after its start',
      '1.4.0',
      program('true', 'setTimeout(() => process.exit(1), 100);'),
      'upgrade_crash_loop',
    ],
  ])('goes back from one that %s', async (_, version, text, error_code) => {
    await offer(version, text);
    await outcomeIs({ result: 'rolled_back', version, error_code });
    await eventually(async () => {
      expect(await served()).toMatchObject({ version: '1.1.0' });
    });
  });

  it('refuses what a stranger signed', async () => {
    sequence += 1;
    const stranger = makeSigningKey();
    await publish(manager, {
      ...{ folder: dir.path, version: '1.5.0', sequence, key: stranger, program: program() },
    });
    const body = { version: '1.5.0', product: 'edge' };
    await manager.call('nodes.upgrade', { params: { id: nodeId }, body });
    await outcomeIs({ version: '1.5.0', error_code: 'upgrade_identity_not_allowed' });
    expect(await served()).toMatchObject({ version: '1.1.0' });
  });
});
