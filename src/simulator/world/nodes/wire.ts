import { EventEmitter } from 'node:events';
import type { ManagerMessage, NodeMessage } from '../../../protocol/node/index.js';
import type { Agenda } from '../agenda.js';
import type { Chance } from '../chance.js';
import type { Faults } from '../faults.js';
import type { Opening } from '../parts.js';

const OPEN = 1;
const CLOSED = 3;
/** Whoever hears nothing for three heartbeats of 15 s gives a link up. */
const QUIET_MS = 46_000;

/** What a link needs of the world. */
export interface Network {
  readonly agenda: Agenda;
  readonly faults: Faults;
  readonly chance: Chance;
  /** The manager is about to be told something: it must be waited for, and may die on it. */
  readonly toManager: () => void;
}

/** The node's end of a link. */
export interface NodeEnd {
  /** `sentAt`: when the manager sent it. */
  received(message: ManagerMessage, sentAt: number): void;
  lost(): void;
}

/** What `Session` uses of a WebSocket. */
class ManagerSocket extends EventEmitter {
  readonly OPEN = OPEN;
  readonly bufferedAmount = 0;
  readyState = OPEN;
  readonly #wire: Wire;

  constructor(wire: Wire) {
    super();
    this.#wire = wire;
  }

  send(text: string): void {
    this.#wire.toNode(text);
  }

  close(): void {
    this.#wire.closeFromManager();
  }

  terminate(): void {
    this.#wire.closeFromManager();
  }

  ping(): void {
    // Answered by `Wire.isHeard`: the world knows which links are quiet.
  }
}

/**
 * One connection between a node and the manager. Worse than TCP: beside being late, cut or half open it
 * loses single messages, doubles them and lets later ones overtake.
 */
export class Wire {
  readonly #network: Network;
  readonly #node: NodeEnd;
  readonly #socket: ManagerSocket;
  #checkLater: (() => void) | null = null;
  #isManagerOpen = true;
  #isNodeOpen = true;
  /** Directions in which messages vanish. */
  #isDeafToManager = false;
  #isDeafToNode = false;
  #lastToManager = 0;
  #lastToNode = 0;

  constructor(network: Network, node: NodeEnd) {
    this.#network = network;
    this.#node = node;
    this.#socket = new ManagerSocket(this);
  }

  /** For a `Session`, which takes it for a socket of `ws`. */
  get socket(): Opening['socket'] {
    return this.#socket;
  }

  get isOpen(): boolean {
    return this.#isNodeOpen;
  }

  /** How the manager looks whether it still hears of the node. */
  useCheck(check: () => void): void {
    this.#checkLater = check;
  }

  toManager(message: NodeMessage | string): void {
    if (!this.#isNodeOpen || this.#isDeafToManager) return;
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    const { agenda, faults } = this.#network;
    if (faults.hit('link_cut')) this.cut();
    else if (faults.hit('link_half_open')) this.#halfOpen();
    const { times, last } = this.#arrivals(this.#lastToManager);
    this.#lastToManager = last;
    for (const at of times) {
      agenda.at(at, () => {
        if (!this.#isManagerOpen || this.#isDeafToManager) return;
        this.#network.toManager();
        this.#socket.emit('message', Buffer.from(text), false);
      });
    }
  }

  toNode(text: string): void {
    if (!this.#isManagerOpen || this.#isDeafToNode) return;
    const { agenda } = this.#network;
    const sentAt = agenda.now;
    const { times, last } = this.#arrivals(this.#lastToNode);
    this.#lastToNode = last;
    for (const at of times) {
      agenda.at(at, () => {
        if (!this.#isNodeOpen || this.#isDeafToNode) return;
        this.#node.received(JSON.parse(text) as ManagerMessage, sentAt);
      });
    }
  }

  /** Both ends learn of it, each in its own time. */
  cut(): void {
    const { agenda, chance } = this.#network;
    agenda.in(chance.int(0, 2_000), () => {
      this.#closeManagerEnd();
    });
    agenda.in(chance.int(0, 2_000), () => {
      this.#closeNodeEnd();
    });
  }

  /** The node's program has ended: it hears nothing more, and the manager soon knows. */
  drop(): void {
    this.#isNodeOpen = false;
    const { agenda, chance } = this.#network;
    agenda.in(chance.int(0, 1_000), () => {
      this.#closeManagerEnd();
    });
  }

  /** The manager's program has ended. */
  abandon(): void {
    this.#isManagerOpen = false;
    this.#socket.readyState = CLOSED;
    const { agenda, chance } = this.#network;
    agenda.in(chance.int(0, 3_000), () => {
      this.#closeNodeEnd();
    });
  }

  closeFromManager(): void {
    if (!this.#isManagerOpen) return;
    const { agenda, chance } = this.#network;
    agenda.in(chance.int(0, 200), () => {
      this.#closeNodeEnd();
    });
    agenda.in(0, () => {
      this.#closeManagerEnd();
    });
  }

  /** The node is there and does not answer: the manager gives it up after a while. */
  goQuiet(): void {
    this.#network.agenda.in(QUIET_MS, () => {
      if (!this.#isManagerOpen) return;
      this.#network.toManager();
      this.#checkLater?.();
    });
  }

  #halfOpen(): void {
    const { agenda, chance } = this.#network;
    const which = chance.int(0, 2);
    this.#isDeafToManager = which !== 1;
    this.#isDeafToNode = which !== 0;
    if (this.#isDeafToManager) this.goQuiet();
    agenda.in(QUIET_MS + chance.int(0, 15_000), () => {
      if (this.#isDeafToNode) this.#closeNodeEnd();
    });
    // Whatever nobody notices, the operating system does in the end.
    agenda.in(900_000, () => {
      this.#closeManagerEnd();
      this.#closeNodeEnd();
    });
  }

  /** When a message arrives: normally once, after all that was sent before it. */
  #arrivals(last: number): { times: number[]; last: number } {
    const { agenda, chance, faults } = this.#network;
    const latency = chance.int(1, 40);
    if (faults.hit('message_lost')) return { times: [], last };
    if (faults.hit('messages_reordered')) {
      return { times: [agenda.now + latency + chance.spread(10, 8_000)], last };
    }
    const extra = faults.hit('message_late') ? chance.spread(100, 40_000) : 0;
    const at = Math.max(last, agenda.now + latency + extra);
    if (!faults.hit('message_doubled')) return { times: [at], last: at };
    return { times: [at, at + chance.spread(1, 1_800_000)], last: at };
  }

  #closeManagerEnd(): void {
    if (!this.#isManagerOpen) return;
    this.#isManagerOpen = false;
    this.#socket.readyState = CLOSED;
    this.#network.toManager();
    this.#socket.emit('close', 1006);
  }

  #closeNodeEnd(): void {
    if (!this.#isNodeOpen) return;
    this.#isNodeOpen = false;
    this.#node.lost();
  }
}
