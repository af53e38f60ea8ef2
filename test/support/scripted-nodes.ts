import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import {
  Command,
  LINK_PATH,
  makeNodeToken,
  SUBPROTOCOL,
  type ManagerMessage,
  type NodeEvent,
  type NodeEventType,
  type NodeMessage,
  type UpgradeBinary,
} from '../../src/protocol/node/index.js';
import { newId } from '../../src/server/platform/index.js';
import { enrollBody, type TestManager } from './manager.js';
import { aHello, aService } from './node-link.js';

const RECONNECT_MS = 200;
/** So that a thousand nodes do not enroll or connect in one instant, which nobody promised to bear. */
const AT_ONCE = 50;

/** How long a swap takes, and who is told when one begins and ends. */
export interface SwapPace {
  readonly ms: number;
  readonly tell: (change: 1 | -1) => void;
}

type Reachable = Pick<TestManager, 'url' | 'call'>;

/**
 * A node that does what the protocol asks and nothing on its disk: thousands of them fit into one
 * process. It keeps its spool over lost links, obeys a command once, and counts its swaps.
 */
export class ScriptedNode {
  version: string;
  /** Versions that it swapped to, in order. */
  readonly swaps: string[] = [];
  #socket: WebSocket | null = null;
  #isStopped = false;
  #seq = 0;
  #spool: NodeEvent[] = [];
  #sentThrough = 0;
  readonly #spoolId = newId('spl');
  #job: { readonly command: UpgradeBinary; isSwapped: boolean } | null = null;
  #outcome: { command_id: string; result: 'succeeded' } | null = null;
  #generation = 0;
  #comeBackMs = RECONNECT_MS;

  constructor(
    private readonly url: string,
    readonly id: string,
    private readonly key: KeyObject,
    version: string,
    private readonly pace: SwapPace | null = null,
  ) {
    this.version = version;
  }

  /** Keeps a link open until it is stopped. */
  start(): void {
    const { url: origin, id: nodeId, key } = this;
    const token = makeNodeToken({ nodeId, origin, key, nowMs: Date.now(), jti: newId('jti') });
    const socket = new WebSocket(origin.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
    });
    this.#socket = socket;
    socket.on('open', () => {
      this.#send(this.#hello());
    });
    socket.on('message', (data: Buffer) => {
      this.#hear(JSON.parse(data.toString()) as ManagerMessage);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket !== socket || this.#isStopped) return;
      setTimeout(() => this.#isStopped || this.start(), this.#comeBackMs);
      this.#comeBackMs = RECONNECT_MS;
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#socket?.terminate();
  }

  get isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  #hello(): NodeMessage {
    const outcome =
      this.#outcome === null
        ? null
        : {
            ...this.#outcome,
            version: this.version,
            error_code: null,
            at: new Date().toISOString(),
          };
    return aHello({
      spool: {
        id: this.#spoolId,
        first_seq: this.#spool[0]?.seq ?? this.#seq + 1,
        next_seq: this.#seq + 1,
      },
      services: [
        aService({
          version: this.version,
          phase: this.#job === null ? 'idle' : 'staged',
          command_id: this.#job?.command.command_id ?? null,
          outcome,
        } as never),
      ],
    });
  }

  #hear(message: ManagerMessage): void {
    switch (message.type) {
      case 'welcome':
        this.#acked(message.events_through);
        this.#sentThrough = message.events_through;
        for (const command of message.commands) this.#obey(Command.parse(command));
        this.#pump();
        break;
      case 'command':
        this.#obey(Command.parse(message.command));
        break;
      case 'permit':
        this.#swap(message.command_id);
        break;
      case 'permit_denied':
        setTimeout(() => this.#ask(message.command_id), message.retry_after_ms);
        break;
      case 'events_ack':
        this.#acked(message.through);
        break;
      case 'reconnect':
        this.#comeBackMs = message.after_ms;
        this.#send({ type: 'goodbye', reason: 'restart' });
        this.#socket?.close();
        break;
      default:
        break;
    }
  }

  #obey(command: Command): void {
    if (command.action !== 'upgrade_binary') return;
    const { command_id } = command;
    const isKnown =
      this.#job?.command.command_id === command_id || this.#outcome?.command_id === command_id;
    const result = isKnown ? 'duplicate' : 'accepted';
    if (!isKnown && command.generation < this.#generation) return;
    this.#send({ type: 'ack', command_id, result } as never);
    if (isKnown) {
      if (this.#job !== null && !this.#job.isSwapped) this.#ask(command_id);
      return;
    }
    this.#generation = command.generation;
    this.#job = { command, isSwapped: false };
    this.#tell('upgrade_started');
    this.#tell('upgrade_staged');
    this.#ask(command_id);
  }

  #ask(commandId: string): void {
    const job = this.#job;
    if (job?.command.command_id !== commandId || job.isSwapped) return;
    const { service, version } = job.command;
    this.#send({ type: 'permit_request', ask: 1, command_id: commandId, service, version });
  }

  #swap(commandId: string): void {
    const job = this.#job;
    if (job?.command.command_id !== commandId || job.isSwapped) return;
    job.isSwapped = true;
    this.#tell('upgrade_swapping');
    this.pace?.tell(1);
    if (this.pace === null) this.#swapped(commandId, job.command.version);
    else setTimeout(() => this.#swapped(commandId, job.command.version), this.pace.ms);
  }

  #swapped(commandId: string, version: string): void {
    this.version = version;
    this.swaps.push(version);
    this.pace?.tell(-1);
    this.#tell('upgrade_probation');
    this.#tell('upgrade_completed');
    this.#outcome = { command_id: commandId, result: 'succeeded' };
    this.#job = null;
  }

  #tell(type: NodeEventType): void {
    const command = this.#job?.command;
    this.#seq += 1;
    this.#spool.push({
      seq: this.#seq,
      at: new Date().toISOString(),
      type,
      category: 'upgrade',
      severity: 'info',
      service: command?.service ?? null,
      command_id: command?.command_id ?? null,
      message: type,
      details: { to_version: command?.version ?? null },
    });
    this.#pump();
  }

  #pump(): void {
    const events = this.#spool.filter((event) => event.seq > this.#sentThrough).slice(0, 50);
    if (events.length === 0 || !this.isConnected) return;
    this.#sentThrough = events.at(-1)?.seq ?? this.#sentThrough;
    this.#send({ type: 'events', spool_id: this.#spoolId, events });
  }

  #acked(through: number): void {
    this.#spool = this.#spool.filter((event) => event.seq > through);
  }

  #send(message: NodeMessage): void {
    if (this.isConnected) this.#socket?.send(JSON.stringify(message));
  }
}

/** Enrolls and connects so many nodes that run edge at `version`. */
export async function startScriptedNodes(
  manager: Reachable,
  count: number,
  version: string,
  pace: SwapPace | null = null,
): Promise<ScriptedNode[]> {
  const nodes: ScriptedNode[] = [];
  while (nodes.length < count) {
    const some = Math.min(AT_ONCE, count - nodes.length);
    const made = await Promise.all(
      Array.from({ length: some }, (_, i) =>
        enroll(manager, { index: nodes.length + i, version, pace }),
      ),
    );
    for (const node of made) node.start();
    nodes.push(...made);
  }
  while (!nodes.every((node) => node.isConnected)) await sleep(50);
  return nodes;
}

async function enroll(
  manager: Reachable,
  given: { readonly index: number; readonly version: string; readonly pace: SwapPace | null },
): Promise<ScriptedNode> {
  const { index, version, pace } = given;
  const name = `edge-${String(index + 1).padStart(5, '0')}`;
  const made = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const body = enrollBody({ token: made.body.secret, origin: manager.url, key, name });
  const { status, body: answer } = await manager.call('enrollment.enroll', { body }, null);
  if (status !== 201) throw new Error(`${name} could not enroll: ${JSON.stringify(answer)}`);
  return new ScriptedNode(manager.url, answer.node_id, key, version, pace);
}
