import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { Status } from '../../../src/agent/operator/status-schema.js';
import { agentProgram, buildPrograms } from '../built.js';
import { makeTempDir } from '../databases.js';
import {
  eventually,
  makeSigningKey,
  publish,
  startAgent,
  type SigningKey,
  type TestAgent,
} from '../fleet.js';
import { startTestManager, type TestManager } from '../manager.js';

type Ended = Record<'out' | 'err', string> & { readonly code: number };

/** What a person on a node has: a real agent with two versions of a service, its command line, and a real manager. */
export class AgentAtHand {
  manager!: TestManager;
  agent!: TestAgent;
  /** Where the agent keeps its files. */
  dir!: string;
  readonly folder = makeTempDir();
  #key!: SigningKey;
  #programs!: ReturnType<typeof buildPrograms>;
  #minor = 0;

  async start(): Promise<void> {
    this.#programs = buildPrograms();
    this.manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '1000' });
    this.#key = makeSigningKey();
    this.agent = await startAgent({
      manager: this.manager,
      programs: this.#programs.path,
      folder: this.folder.path,
      name: 'edge-01',
      publicKey: this.#key.publicKey,
    });
    this.dir = dirname(this.agent.root);
    await eventually(async () => {
      expect((await this.manager.call('nodes.list')).body.items[0]?.services).toHaveLength(1);
    });
    await this.install();
    await this.install();
  }

  async stop(): Promise<void> {
    await this.agent.stop();
    await this.manager.stop();
    this.#programs.remove();
    this.folder.remove();
  }

  async cli(...words: string[]): Promise<Ended> {
    const program = agentProgram(this.#programs.path);
    const child = spawn(program.file, [...program.args, ...words, '--dir', this.dir]);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  }

  async done(...words: string[]): Promise<string> {
    const { code, out, err } = await this.cli(...words);
    expect(code, out + err).toBe(0);
    return out;
  }

  async status(): Promise<Status> {
    return Status.parse(JSON.parse(await this.done('status', '--json')));
  }

  async nextVersion(): Promise<string> {
    this.#minor += 1;
    const version = `1.${this.#minor}.0`;
    const sequence = this.#minor + 1;
    await publish(this.manager, { folder: this.folder.path, version, sequence, key: this.#key });
    return version;
  }

  /** Orders a version that was not there before. */
  async next(): Promise<{ id: string; version: string }> {
    const version = await this.nextVersion();
    return { id: await this.upgrade(version), version };
  }

  /** The manager hears a moment later of what was decided by hand, and leaves the node out until then. */
  upgrade(version: string): Promise<string> {
    return eventually(async () => {
      const { status: code, body } = await this.manager.call('nodes.upgrade', {
        params: { id: this.agent.nodeId },
        body: { version, product: 'edge' },
      });
      expect(code, JSON.stringify(body)).toBe(202);
      return body.id;
    });
  }

  /** Until the target of a rollout is like this. */
  ends(id: string, wanted: object): Promise<void> {
    return eventually(async () => {
      const { body } = await this.manager.call('rollouts.targets', { params: { id } });
      expect(body.items[0]).toMatchObject(wanted);
    }, 60_000);
  }

  async install(): Promise<string> {
    const { id, version } = await this.next();
    await this.ends(id, { state: 'succeeded' });
    return version;
  }

  async runs(version: string): Promise<void> {
    await eventually(async () => {
      expect(await this.agent.version()).toBe(version);
    });
  }

  linked(): Promise<void> {
    return eventually(async () => {
      expect((await this.status()).link).toBe('connected');
    });
  }

  /** The manager has heard what a person on the node decided. */
  tells(byHand: object | undefined): Promise<void> {
    return eventually(async () => {
      const { body } = await this.manager.call('nodes.list');
      expect(body.items[0]?.services[0]?.by_hand).toEqual(byHand);
    }, 60_000);
  }

  /** These lines in the local policy, in place of those that were put there before. */
  policy(lines: string): void {
    const path = join(this.agent.root, 'policy.toml');
    const text = readFileSync(path, 'utf8').replace(
      /^(manual_only|boot_health_window_secs).*\n/gm,
      '',
    );
    writeFileSync(path, `${lines}\n${text}`);
  }

  current(): string {
    return readlinkSync(join(this.agent.root, 'current')).replace('versions/', '');
  }
}
