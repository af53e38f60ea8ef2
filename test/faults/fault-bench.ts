import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import { ask } from '../../src/agent/operator/client.js';
import { UpdateState } from '../../src/core/update/index.js';
import { NodeMessage, type UpgradeBinary } from '../../src/protocol/node/index.js';
import { tarGz, type Entry } from '../support/archive.js';
import { agentProgram } from '../support/built.js';
import { makeSigningKey, ReleaseSource } from '../support/release-source.js';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.js';
import { KillList } from './kill-list.js';

export const SERVICES = ['edge', 'gate'] as const;
export type ServiceName = (typeof SERVICES)[number];

/** What a release does once it is ordered. The last two may never run. */
export const KINDS = ['good', 'crashes', 'hangs', 'falls sick', 'forged', 'tampered'] as const;
export type Kind = (typeof KINDS)[number];

/** What the hook does that is asked before a version comes back. It may never hold that up. */
export const HOOK_WAYS = { succeeds: 'exit 0', fails: 'exit 1', hangs: 'exec sleep 10' } as const;
export type HookWay = keyof typeof HOOK_WAYS;

const LEASE_MS = 2_000;
/** For the agent, both services with three versions and their archives, several times over. */
const DISK = ['24m', 4_000] as const;
const PART_BYTES = 96 * 1024;

/**
 * A real agent process with two real services, which make a set, and a manager that gives orders and
 * every permit. The agent may be killed at any moment; what it left is judged from the outside, by the
 * files and the processes.
 */
export class FaultBench {
  readonly source = new ReleaseSource();
  /** Of the agent and its services: on a disk of its own where one can be mounted. */
  readonly folder: string;
  readonly disk: SmallDisk | null = mountSmallDisk(...DISK);
  /** What is written down about them, which no full disk may swallow. */
  readonly #outside = mkdtempSync(join(tmpdir(), 'bellwether-faults-'));
  readonly #stranger = makeSigningKey();
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #links = new Set<WebSocket>();
  readonly #commands = new Map<ServiceName, UpgradeBinary>();
  /** Digest of each file of each version that may lie under `current`. */
  readonly #files = new Map<string, ReadonlyMap<string, string>>();
  readonly #killLists: Readonly<Record<ServiceName, KillList>> = {
    edge: new KillList('edge'),
    gate: new KillList('gate'),
  };
  /** How often each revoked version had been started when all had come to rest. */
  readonly #startsKnown = new Map<string, number>();
  readonly #programs: string;
  #agent: ChildProcess | null = null;
  #generation = 0;

  private constructor(programs: string) {
    this.#programs = programs;
    this.folder = join(this.disk?.path ?? this.#outside, 'node');
    mkdirSync(this.folder);
  }

  static async make(programs: string): Promise<FaultBench> {
    const bench = new FaultBench(programs);
    await bench.source.start();
    bench.source.server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      bench.#sockets.handleUpgrade(request, stream, head, (socket) => {
        bench.#linked(socket);
      });
    });
    bench.#configure();
    bench.beforeRollback('succeeds');
    return bench;
  }

  #configure(): void {
    const { folder, source } = this;
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(join(folder, 'node.key'), pem, { mode: 0o600 });
    const { url: manager } = source;
    const identity = { node_id: 'nod_000000000001', group_id: 'grp_default', name: 'n', manager };
    writeFileSync(join(folder, 'identity.json'), JSON.stringify(identity));
    const lines = [`manager = "${manager}"`];
    for (const name of SERVICES) {
      mkdirSync(this.root(name));
      lines.push('[[services]]', `name = "${name}"`, `product = "${name}"`);
      lines.push(`root = "${this.root(name)}"`, 'exec = "bin/run"', 'stop_timeout_secs = 1');
      lines.push(
        'health = { kind = "command", command = ["test", "-e", "healthy"], interval_secs = 0.2 }',
      );
      const hook = '{ command = ["/bin/sh", "-c", "exit 0"] }';
      const before = `{ command = ["/bin/sh", "${this.#hook}"], timeout_secs = 1 }`;
      lines.push(`hooks = { pre_swap = ${hook}, post_swap = ${hook}, pre_rollback = ${before} }`);
      const policy = ['enabled = true', 'boot_health_window_secs = 1', 'rollback_grace = 100'];
      policy.push('[[signers]]', 'name = "pipeline"', `public_key = "${source.key.publicKey}"`);
      writeFileSync(join(this.root(name), 'policy.toml'), policy.join('\n'), { mode: 0o640 });
    }
    lines.push('[[sets]]', 'name = "pair"', 'services = ["edge", "gate"]');
    writeFileSync(join(folder, 'agent.toml'), lines.join('\n'));
  }

  root(name: ServiceName): string {
    return join(this.folder, name);
  }

  /** What every version writes into when it is started: how it finds itself. */
  get #diary(): string {
    return join(this.#outside, 'executed.log');
  }

  get #hook(): string {
    return join(this.#outside, 'pre-rollback.sh');
  }

  get #hookDiary(): string {
    return join(this.#outside, 'hooks.log');
  }

  /** From now on. */
  beforeRollback(way: HookWay): void {
    const lines = ['#!/bin/sh', `echo ${way} >> ${this.#hookDiary}`, HOOK_WAYS[way]];
    writeFileSync(this.#hook, lines.join('\n'));
  }

  /** How often it was asked, and what it did then. */
  get hooksAsked(): string[] {
    return linesOf(this.#hookDiary);
  }

  get #agentLog(): string {
    return join(this.#outside, 'agent.log');
  }

  get agentLog(): string {
    return linesOf(this.#agentLog).join('\n');
  }

  #linked(socket: WebSocket): void {
    socket.on('close', () => this.#links.delete(socket));
    socket.on('error', () => undefined);
    const say = (message: unknown): void => {
      socket.send(JSON.stringify(message));
    };
    socket.on('message', (data: Buffer) => {
      const message = NodeMessage.parse(JSON.parse(data.toString()));
      if (message.type === 'hello') {
        say({
          type: 'welcome',
          session_id: 'ses_000000000001',
          server_time: new Date().toISOString(),
          heartbeat_interval_ms: 2_000,
          events_through: message.spool.next_seq - 1,
          commands: [...this.#commands.values()],
        });
        this.#links.add(socket);
      } else if (message.type === 'events') {
        const { spool_id, events } = message;
        say({ type: 'events_ack', spool_id, through: events.at(-1)?.seq ?? 0 });
      } else if (message.type === 'permit_request') {
        const { command_id, ask } = message;
        say({ type: 'permit', command_id, ask, lease_ms: LEASE_MS });
      }
    });
  }

  async publish(name: ServiceName, version: string, kind: Kind): Promise<void> {
    const archive = await this.#archive(version, kind);
    const [, minor = 0] = version.split('.').map(Number);
    const key = kind === 'forged' ? this.#stranger : this.source.key;
    const release = { product: name, version, sequence: minor + 1, archive, key };
    const sha256 = await this.source.publish(release);
    this.#killLists[name].digests.set(version, sha256);
    if (kind !== 'tampered') return;
    const other = Buffer.from(archive);
    other[other.length >> 1] = (other[other.length >> 1] ?? 0) ^ 1;
    this.source.addBlob(other, sha256);
  }

  async #archive(version: string, kind: Kind): Promise<Buffer> {
    const mayRun = kind !== 'forged' && kind !== 'tampered';
    const parts = ['a', 'b', 'c'].map((name): Entry => {
      const content = Buffer.alloc(PART_BYTES, `${name} ${version} ${kind} `);
      return { name: `part-${name}`, content };
    });
    const end = kind === 'crashes' ? 'exit 1' : 'exec sleep 600';
    // Sick after the swap was seen to be well, and before its window is over.
    const sick = kind === 'falls sick' ? '(sleep 0.7; rm -f healthy) &' : ':';
    const program = [
      '#!/bin/sh',
      `[ -s part-a ] && [ -s part-b ] && [ -s part-c ] && [ -s last ] || echo HALF >> ${this.#diary}`,
      `echo ${mayRun ? 'RAN' : 'UNVERIFIED'} ${version} >> ${this.#diary}`,
      sick,
      end,
    ].join('\n');
    const entries: Entry[] = [{ name: 'bin/run', mode: 0o755, content: program }, ...parts];
    entries.push({ name: 'version', content: version });
    if (kind !== 'hangs') entries.push({ name: 'healthy', content: 'yes' });
    entries.push({ name: 'last', content: 'last' });
    if (mayRun) {
      const digests = entries.map(({ name, content = '' }) => [name, digest(content)] as const);
      this.#files.set(version, new Map(digests));
    }
    return tarGz(entries);
  }

  /** Puts a version on the signed kill list of its product, which the next look at it finds. */
  revoke(name: ServiceName, version: string): void {
    this.#killLists[name].add(this.source, version);
  }

  isRevoked(name: ServiceName, version: string): boolean {
    return this.#killLists[name].has(version);
  }

  /** As a person would who heard of it: the agent looks at once. Not answered where it is not up. */
  async look(): Promise<void> {
    await ask(this.folder, { do: 'look', now: true, service: null }).catch(() => undefined);
  }

  /** All that was revoked is known to the node, durably. */
  get knowsKillLists(): boolean {
    return SERVICES.every((name) => {
      const { sequence } = this.#killLists[name];
      return sequence === 0 || this.state(name)?.indexes?.stable?.sequence === sequence;
    });
  }

  /** All has come to rest: what is revoked by now may not be started again, whatever comes. */
  rested(): void {
    for (const name of SERVICES) {
      for (const one of this.#killLists[name].versions)
        this.#startsKnown.set(one, this.#starts(one));
    }
  }

  #starts(version: string): number {
    return linesOf(this.#diary).filter((line) => line === `RAN ${version}`).length;
  }

  /** Gives all these orders at once; each command is told again at every welcome. */
  order(orders: readonly { readonly name: ServiceName; readonly version: string }[]): void {
    for (const { name, version } of orders) {
      this.#generation += 1;
      const command: UpgradeBinary = {
        command_id: `cmd_${String(this.#generation).padStart(8, '0')}`,
        generation: this.#generation,
        action: 'upgrade_binary',
        service: name,
        product: name,
        version,
        channel: 'stable',
        sources: [],
        apply_after: null,
        expires_at: new Date(Date.now() + 3_600_000).toISOString(),
        permit: 'required',
      };
      this.#commands.set(name, command);
      for (const socket of this.#links) socket.send(JSON.stringify({ type: 'command', command }));
    }
  }

  commandOf(name: ServiceName): string | null {
    return this.#commands.get(name)?.command_id ?? null;
  }

  start(fault = ''): void {
    const { file, args } = agentProgram(this.#programs);
    const child = spawn(file, [...args, 'run', '--stop-services', '--dir', this.folder], {
      env: { PATH: process.env['PATH'], BELLWETHER_FAULT: fault },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.on('data', (chunk: Buffer) => {
      writeFileSync(this.#agentLog, chunk, { flag: 'a' });
    });
    this.#agent = child;
  }

  get isRunning(): boolean {
    return this.#agent !== null && this.#agent.exitCode === null && this.#agent.signalCode === null;
  }

  async kill(): Promise<void> {
    this.#agent?.kill('SIGKILL');
    await this.#ended();
  }

  async stop(): Promise<void> {
    this.#agent?.kill('SIGTERM');
    await this.#ended();
    for (const socket of this.#links) socket.terminate();
    await this.source.stop();
    this.disk?.remove();
    rmSync(this.#outside, { recursive: true, force: true });
  }

  async #ended(): Promise<void> {
    if (this.isRunning && this.#agent !== null) await once(this.#agent, 'exit');
  }

  state(name: ServiceName): UpdateState | null {
    const path = join(this.root(name), 'state.json');
    return existsSync(path) ? UpdateState.parse(JSON.parse(readFileSync(path, 'utf8'))) : null;
  }

  /** The last command of this service has come to its end. */
  hasEnded(name: ServiceName): boolean {
    const id = this.commandOf(name);
    const state = this.state(name);
    return id === null || (state?.job === null && state.outcome?.command_id === id);
  }

  linked(name: ServiceName): string | null {
    const path = join(this.root(name), 'current');
    return existsSync(path) ? readlinkSync(path).replace('versions/', '') : null;
  }

  /** True at every moment, also while the agent lies dead. Each line is a broken promise. */
  brokenNow(): string[] {
    const broken = SERVICES.flatMap((name) => {
      const version = this.linked(name);
      return version === null ? [] : this.#half(name, version);
    });
    const bad = linesOf(this.#diary).filter((line) => !line.startsWith('RAN '));
    const again = [...this.#startsKnown].filter(
      ([version, starts]) => this.#starts(version) > starts,
    );
    return [
      ...broken,
      ...bad.map((line) => `executed: ${line}`),
      ...again.map(([version]) => `${version} was started although it is revoked`),
    ];
  }

  #half(name: ServiceName, version: string): string[] {
    const wanted = this.#files.get(version);
    if (wanted === undefined) return [`${name}: current leads to ${version}, which may not run`];
    const folder = join(this.root(name), 'versions', version);
    return [...wanted].flatMap(([file, sha256]) => {
      const path = join(folder, file);
      // A version that falls sick takes this away itself.
      if (!existsSync(path)) return file === 'healthy' ? [] : [`${name} ${version}: no ${file}`];
      return digest(readFileSync(path)) === sha256 ? [] : [`${name} ${version}: ${file} is wrong`];
    });
  }

  /** True when all has come to rest. */
  brokenAtRest(): string[] {
    const left = existsSync(join(this.folder, 'set-pair.json')) ? ['the set is not done'] : [];
    return [...left, ...this.brokenNow(), ...SERVICES.flatMap((name) => this.#down(name))];
  }

  #down(name: ServiceName): string[] {
    const version = this.linked(name);
    const current = this.state(name)?.current ?? null;
    if (version === null) return [`${name}: nothing is installed any more`];
    if (current?.version !== version) {
      return [`${name}: state.json says ${current?.version ?? 'none'}, the link ${version}`];
    }
    const odd = readdirSync(join(this.root(name), 'versions')).filter((one) => one.includes('tmp'));
    const cwd = this.#folderOfProcess(name);
    if (this.isRevoked(name, version)) return [`${name}: ${version} stays, which is revoked`];
    const runs = cwd === join(this.root(name), 'versions', version);
    return [
      ...odd.map((one) => `${name}: ${one} was left`),
      ...(runs ? [] : [`${name}: ${version} does not run (${cwd ?? 'none'})`]),
    ];
  }

  /** What the process of the service has as its working folder; null when there is none. */
  #folderOfProcess(name: ServiceName): string | null {
    try {
      const text = readFileSync(join(this.root(name), 'service.pid'), 'utf8');
      const { pid } = JSON.parse(text) as { pid: number };
      return readlinkSync(`/proc/${pid}/cwd`);
    } catch {
      return null;
    }
  }

  /** Pacts of these commands that moved: the commands of each. */
  get moves(): string[][] {
    return this.agentLog.split('\n').flatMap((line) => {
      if (!line.includes('"phase":"moving"')) return [];
      const { members } = JSON.parse(line) as { members: { command_id: string }[] };
      return [members.map(({ command_id }) => command_id)];
    });
  }
}

/** None where there is no such file. */
const linesOf = (path: string): string[] =>
  existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : [];

const digest = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');
