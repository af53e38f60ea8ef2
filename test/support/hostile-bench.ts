import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import type { ChannelIndex, Manifest } from '../../src/core/release/index.js';
import { UpdateState } from '../../src/core/update/index.js';
import {
  CHANNEL_PATH,
  NodeMessage,
  type GivenEvent,
  type UpgradeBinary,
} from '../../src/protocol/node/index.js';
import { run, type RunningAgent, type RunOptions } from '../../src/agent/run.js';
import { ServiceConfig } from '../../src/agent/supervisor/index.js';
import { NO_FAULTS } from '../../src/agent/updater/index.js';
import { digestOf, ReleaseSource, signDocument, type SigningKey } from './release-source.js';
import { serviceArchive } from './node-bench.js';

const NODE_ID = 'nod_000000000001';
export const DAY_MS = 86_400_000;

/**
 * A real agent (link, spool, updater, service process, files) and the manager that it is enrolled
 * with, which is in the hands of an attacker: he holds the link and everything that is served, and
 * no signing key but those that a spec gives him. He grants every permit that is asked for.
 */
export class HostileBench {
  readonly source = new ReleaseSource();
  readonly folder = mkdtempSync(join(tmpdir(), 'bellwether-redteam-'));
  readonly root = join(this.folder, 'edge');
  readonly heard: NodeMessage[] = [];
  readonly logged: string[] = [];
  /** How often the agent ended because another version of it was to run. */
  selfRestarts = 0;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #openLinks = new Set<WebSocket>();
  readonly #sizes = new Map<string, number>();
  #agent: RunningAgent | null = null;
  #generation = 0;

  static async make(): Promise<HostileBench> {
    const bench = new HostileBench();
    await bench.source.start();
    bench.source.server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      bench.#sockets.handleUpgrade(request, stream, head, (socket) => {
        bench.#linked(socket);
      });
    });
    mkdirSync(bench.root);
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(join(bench.folder, 'node.key'), pem, { mode: 0o600 });
    const { url: manager } = bench.source;
    const identity = { node_id: NODE_ID, group_id: 'grp_default', name: 'edge-01', manager };
    writeFileSync(join(bench.folder, 'identity.json'), JSON.stringify(identity));
    bench.policy();
    return bench;
  }

  /** The local policy: one that trusts the key of the source, and `lines` on top. */
  policy(
    lines: readonly string[] = [],
    keys: readonly SigningKey[] = [this.source.key],
    file = 'policy.toml',
  ): string {
    const signers = keys.flatMap(({ publicKey }, index) => [
      '[[signers]]',
      `name = "signer ${index + 1}"`,
      `public_key = "${publicKey}"`,
    ]);
    const own = ['enabled = true', 'boot_health_window_secs = 1'];
    const text = [...own, ...lines, ...signers].join('\n');
    writeFileSync(join(this.root, file), text, { mode: 0o640 });
    return text;
  }

  async start(
    env: Readonly<Record<string, string>> = {},
    indexRefreshMs = 3_600_000,
  ): Promise<void> {
    const text = [
      '[[services]]',
      'name = "edge"',
      'product = "edge"',
      `root = "${this.root}"`,
      'exec = "bin/edge"',
      'health = { kind = "command", command = ["test", "-e", "healthy"], interval_secs = 0.1 }',
      'stop_timeout_secs = 2',
    ];
    await this.#run(text, { env, indexRefreshMs });
  }

  /** As a service of its own, with nothing else to look after; begun anew whenever it ends for another one. */
  async startSelf(indexRefreshMs: number): Promise<void> {
    const service = ServiceConfig.parse({
      ...{ name: 'edge', product: 'edge', driver: 'self', root: this.root },
      health: { kind: 'none', interval_secs: 0.1 },
    });
    const restart = (): void => {
      this.selfRestarts += 1;
      void this.stop().then(() => this.startSelf(indexRefreshMs));
    };
    const own = { service, restart, isWell: () => Promise.resolve(true) };
    await this.#run([], { env: {}, indexRefreshMs, own });
  }

  async #run(
    services: readonly string[],
    options: Pick<RunOptions, 'env' | 'indexRefreshMs' | 'own'>,
  ): Promise<void> {
    const lines = [`manager = "${this.source.url}"`, ...services];
    writeFileSync(join(this.folder, 'agent.toml'), lines.join('\n'));
    const log = (message: string, fields?: Record<string, unknown>): void => {
      this.logged.push(`${message} ${JSON.stringify(fields)}`);
    };
    this.#agent = await run({ dir: this.folder, faults: NO_FAULTS, log, ...options });
    await this.until(() => {
      if (this.#openLinks.size === 0) throw new Error('no link yet');
    });
  }

  async stop(withServices = false): Promise<void> {
    await this.#agent?.stop(withServices);
    this.#agent = null;
    // What is said from now on is for the next agent.
    for (const socket of this.#openLinks) socket.terminate();
    this.#openLinks.clear();
  }

  async remove(): Promise<void> {
    await this.stop(true);
    for (const socket of this.#openLinks) socket.terminate();
    await this.source.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #linked(socket: WebSocket): void {
    socket.on('close', () => this.#openLinks.delete(socket));
    const say = (message: unknown): void => {
      socket.send(JSON.stringify(message));
    };
    socket.on('message', (data: Buffer) => {
      const message = NodeMessage.parse(JSON.parse(data.toString()));
      this.heard.push(message);
      if (message.type === 'hello') {
        say({
          type: 'welcome',
          session_id: 'ses_000000000001',
          server_time: new Date().toISOString(),
          heartbeat_interval_ms: 500,
          events_through: message.spool.next_seq - 1,
          commands: [],
        });
        this.#openLinks.add(socket);
      } else if (message.type === 'events') {
        const { spool_id, events } = message;
        say({ type: 'events_ack', spool_id, through: events.at(-1)?.seq ?? 0 });
      } else if (message.type === 'permit_request') {
        const { command_id, ask } = message;
        say({ type: 'permit', command_id, ask, lease_ms: 5_000 });
      }
    });
  }

  /** Whatever the attacker likes, on the open link. */
  say(message: unknown): void {
    for (const socket of this.#openLinks) {
      socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    }
  }

  get events(): GivenEvent[] {
    return this.heard.flatMap((one) => (one.type === 'events' ? one.events : []));
  }

  /** What lies under a version of a channel from now on; the digest of its artifact comes back. */
  async publish(
    version: string,
    change: Partial<Parameters<ReleaseSource['publish']>[0]> = {},
  ): Promise<string> {
    const sequence = Number(version.split('.')[1]) + 1;
    const archive = change.archive ?? (await serviceArchive(version));
    this.#sizes.set(version, archive.length);
    return this.source.publish({ version, sequence, key: this.source.key, ...change, archive });
  }

  /** Bytes of the artifact that was published last under a version. */
  sizeOf(version: string): number {
    return this.#sizes.get(version) ?? 0;
  }

  manifestOf(version: string, channel = 'stable'): Promise<Manifest> {
    return this.#served(`/node/v1/releases/edge/${version}/${channel}/manifest.json`).then(
      (text) => JSON.parse(text) as Manifest,
    );
  }

  async #served(path: string): Promise<string> {
    return (await fetch(`${this.source.url}${path}`)).text();
  }

  /** Serves an index of the stable channel whose current release is this one. */
  async index(
    version: string,
    change: Partial<ChannelIndex> = {},
    keys: readonly SigningKey[] = [this.source.key],
  ): Promise<void> {
    const path = `/node/v1/releases/edge/${version}/stable/manifest.json`;
    const manifest = await this.#served(path);
    const { sequence } = JSON.parse(manifest) as Manifest;
    const index: ChannelIndex = {
      schema: 'bellwether.channel.v1',
      product: 'edge',
      channel: 'stable',
      sequence,
      issued_at: new Date(Date.now() - DAY_MS).toISOString(),
      expires_at: new Date(Date.now() + DAY_MS).toISOString(),
      current: { version, manifest_sha256: digestOf(Buffer.from(manifest)), sequence },
      floor: 0,
      revoked: [],
      ...change,
    };
    this.announce(signDocument(index, ...keys));
  }

  announce(signed: unknown): void {
    this.source.serve(`${CHANNEL_PATH}/edge/stable`, JSON.stringify(signed));
  }

  /** Gives the command over the link and waits for what becomes of it: `succeeded` or a code. */
  async upgrade(version: string, change: Partial<UpgradeBinary> = {}): Promise<string> {
    this.#generation += 1;
    const command_id = `cmd_${String(this.#generation).padStart(8, '0')}`;
    const command: UpgradeBinary = {
      command_id,
      generation: this.#generation,
      action: 'upgrade_binary',
      service: 'edge',
      product: 'edge',
      version,
      channel: 'stable',
      sources: [],
      apply_after: null,
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
      permit: 'required',
      ...change,
    };
    this.say({ type: 'command', command });
    return this.until(() => {
      const rejected = this.heard.find(
        (one) => one.type === 'reject' && one.command_id === command_id,
      );
      if (rejected?.type === 'reject') return rejected.error_code;
      const { outcome, outbox } = this.state;
      if (outcome?.command_id !== command_id || outbox.length > 0) {
        throw new Error(`${command_id} has not ended: ${this.logged.join('\n')}`);
      }
      return outcome.error_code ?? outcome.result;
    });
  }

  get state(): UpdateState {
    return UpdateState.parse(JSON.parse(readFileSync(join(this.root, 'state.json'), 'utf8')));
  }

  /** What `current` leads to, or null. */
  get version(): string | null {
    const path = join(this.root, 'current', 'version');
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  }

  get servicePid(): number {
    const text = readFileSync(join(this.root, 'service.pid'), 'utf8');
    return (JSON.parse(text) as { pid: number }).pid;
  }

  /** Whether the process of the service runs. */
  get isRunning(): boolean {
    const status = `/proc/${this.servicePid}/status`;
    return existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, 'utf8'));
  }

  /** Asks again until it does not throw. */
  async until<T>(check: () => T | Promise<T>, withinMs = 20_000): Promise<T> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      try {
        return await check();
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    }
  }
}
