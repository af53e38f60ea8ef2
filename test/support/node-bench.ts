import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UpdateState, type OutboxEvent } from '../../src/core/update/index.js';
import type { UpgradeBinary } from '../../src/protocol/node/index.js';
import { HttpFetcher, MANAGER_ONLY } from '../../src/agent/link/index.js';
import { PolicyFile } from '../../src/agent/policy-file.js';
import { Spool, toSpoolEvent } from '../../src/agent/report/index.js';
import { ChildProcessDriver, ServiceConfig } from '../../src/agent/supervisor/index.js';
import { NO_FAULTS, Updater, type Answer, type Faults } from '../../src/agent/updater/index.js';
import { tarGz, type Entry } from './archive.js';
import { ReleaseSource, type Publication } from './release-source.js';

/** A service that runs until it is stopped, and is well while `healthy` lies beside it. */
export const RUNS = '#!/bin/sh\nexec sleep 600\n';
export const ENDS_AT_ONCE = '#!/bin/sh\nexit 1\n';

export const serviceArchive = (
  version: string,
  program = RUNS,
  isHealthy = true,
): Promise<Buffer> => {
  const entries: Entry[] = [
    { name: 'bin/edge', mode: 0o755, content: program },
    { name: 'version', content: version },
  ];
  if (isHealthy) entries.push({ name: 'healthy' });
  return tarGz(entries);
};

export const NODE_ID = 'nod_000000000001';

/** One service of one node with everything real but the link: files, processes, HTTP, signatures. */
export class NodeBench {
  readonly source = new ReleaseSource();
  readonly told: OutboxEvent[] = [];
  readonly logged: string[] = [];
  readonly folder: string;
  readonly root: string;
  /** Answers each question for a permit; nobody does when it is null. */
  permitLeaseMs: number | null = 5_000;
  permitsAsked = 0;
  /** Counts from the next `open` on. */
  health: readonly string[] = ['test', '-e', 'healthy'];
  /** Hooks of the service, as `agent.toml` has them; counts from the next `open` on. */
  hooks: Readonly<Record<string, unknown>> = {};
  updater!: Updater;
  driver!: ChildProcessDriver;
  #spool: Spool | null = null;
  #generation = 0;

  private constructor(root: string | null) {
    this.folder = mkdtempSync(join(tmpdir(), 'bellwether-node-'));
    this.root = root ?? join(this.folder, 'edge');
    mkdirSync(this.root, { recursive: true });
  }

  /** `root` lies elsewhere when it is given: on a disk of its own, for example. */
  static async make(root: string | null = null): Promise<NodeBench> {
    const bench = new NodeBench(root);
    await bench.source.start();
    bench.policy();
    return bench;
  }

  /** Writes the local policy; `lines` come on top of one that allows what `publish` signs. */
  policy(
    lines: readonly string[] = ['enabled = true'],
    publicKey = this.source.key.publicKey,
  ): void {
    const signer = ['[[signers]]', 'name = "pipeline"', `public_key = "${publicKey}"`];
    const isWindowGiven = lines.some((line) => line.startsWith('boot_health_window_secs'));
    const all = [...(isWindowGiven ? [] : ['boot_health_window_secs = 1']), ...lines, ...signer];
    const text = all.join('\n');
    writeFileSync(join(this.root, 'policy.toml'), text, { mode: 0o640 });
  }

  /** Writes a policy of exactly these lines, and the trusted root beside it. */
  sigstorePolicy(lines: readonly string[], trustedRoot: string): void {
    const all = ['enabled = true', 'boot_health_window_secs = 1', ...lines].join('\n');
    writeFileSync(join(this.root, 'policy.toml'), all, { mode: 0o640 });
    writeFileSync(join(this.root, 'trusted_root.json'), trustedRoot, { mode: 0o640 });
  }

  async publish(release: Partial<Publication> & { readonly version: string }): Promise<string> {
    const { version, archive = await serviceArchive(version) } = release;
    const sequence = Number(version.split('.')[1]) + 1;
    return this.source.publish({ sequence, key: this.source.key, ...release, archive });
  }

  /** Starts the updater, as a start of the agent does; `open` after `close` is a restart. */
  async open(faults: Faults = NO_FAULTS): Promise<void> {
    const service = this.service;
    const file = new PolicyFile(this.root);
    this.#spool = await Spool.open(join(this.folder, 'spool'));
    const spool = this.#spool;
    this.driver = new ChildProcessDriver(service);
    const { privateKey } = generateKeyPairSync('ed25519');
    this.updater = await Updater.open({
      service,
      nodeId: NODE_ID,
      host: { os: 'linux', arch: process.arch === 'arm64' ? 'arm64' : 'x64' },
      policy: () => file.read(),
      trust: () => file.trust(),
      fetcher: new HttpFetcher({
        manager: this.source.url,
        nodeId: NODE_ID,
        key: privateKey,
        allowPlaintext: false,
        delivery: async () => {
          const policy = await file.read();
          return policy.ok ? policy.value : MANAGER_ONLY;
        },
        now: () => Date.now(),
      }),
      driver: this.driver,
      clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
      emit: async (name, events) => {
        const fitted = events.flatMap((one) => {
          const event = toSpoolEvent(name, one);
          return event === null ? [] : [{ id: one.id, event }];
        });
        await spool.append(fitted);
        this.told.push(...events.filter(({ id }) => !this.told.some((one) => one.id === id)));
      },
      askPermit: ({ command_id, ask }) => {
        this.permitsAsked += 1;
        const lease_ms = this.permitLeaseMs;
        if (lease_ms === null) return;
        setImmediate(() => {
          const input = { type: 'permit_granted', command_id, ask, lease_ms } as const;
          this.updater.hear(input).catch((error: unknown) => {
            this.logged.push(String(error));
          });
        });
      },
      faults,
      log: (message, fields) => this.logged.push(`${message} ${JSON.stringify(fields)}`),
    });
  }

  get service(): ServiceConfig {
    return ServiceConfig.parse({
      name: 'edge',
      product: 'edge',
      root: this.root,
      exec: 'bin/edge',
      health: { kind: 'command', command: this.health, interval_secs: 0.1, timeout_secs: 30 },
      stop_timeout_secs: 2,
      hooks: this.hooks,
    });
  }

  /** Ends the updater; the service goes on unless told otherwise. */
  async close(withService = false): Promise<void> {
    await this.updater.stop(withService);
    await this.#spool?.close();
  }

  async remove(): Promise<void> {
    await this.close(true);
    await this.source.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  command(version: string, change: Partial<UpgradeBinary> = {}): UpgradeBinary {
    this.#generation += 1;
    return {
      command_id: `cmd_${String(this.#generation).padStart(8, '0')}`,
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
  }

  /** Gives the command and waits for its end; `upgraded` or an error code is what comes back. */
  async upgrade(version: string, change: Partial<UpgradeBinary> = {}): Promise<string> {
    const command = this.command(version, change);
    const answer: Answer = await this.updater.command(command);
    if (!answer.ok) return answer.code;
    return this.outcomeOf(command.command_id);
  }

  outcomeOf(commandId: string): Promise<string> {
    return this.until(() => {
      const { outcome, outbox } = this.state;
      const isTold = outcome?.command_id === commandId && outbox.length === 0;
      if (!isTold) throw new Error(`${commandId} has not ended: ${this.logged.join('\n')}`);
      return outcome.error_code ?? outcome.result;
    });
  }

  /** What is durable. */
  get state(): UpdateState {
    return UpdateState.parse(JSON.parse(readFileSync(join(this.root, 'state.json'), 'utf8')));
  }

  /** What `current` leads to, or null. */
  get version(): string | null {
    const path = join(this.root, 'current', 'version');
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  }

  get types(): string[] {
    return this.told.map((event) => event.type);
  }

  /** Asks again until it does not throw. */
  async until<T>(check: () => T | Promise<T>, withinMs = 15_000): Promise<T> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      try {
        return await check();
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}
