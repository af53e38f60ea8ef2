import type { KeyObject } from 'node:crypto';
import { WebSocket } from 'ws';
import {
  LINK_PATH,
  makeNodeToken,
  MANAGER_FRAME_BYTES_MAX,
  SUBPROTOCOL,
  type ManagerMessage,
} from '../../protocol/node/index.js';
import { Backoff } from './parts.js';
import type { Slot, Wheel } from './wheel.js';

/** So long for the upgrade and the `welcome`; then the next try. */
const ANSWER_MS_MAX = 30_000;

/** Connections from so many addresses of the loopback network: one has ports for some 28 000. */
const LOOPBACK_ADDRESSES = 16;
export const localAddressFor = (url: string, index: number): string | null =>
  new URL(url).hostname.startsWith('127.') ? `127.0.0.${2 + (index % LOOPBACK_ADDRESSES)}` : null;

export interface LinkSettings {
  /** Of equal managers. It stays with one until that one is lost, and then tries the next. */
  readonly urls: readonly string[];
  /** Where in that list it begins. */
  readonly first: number;
  /** The audience of its tokens. */
  readonly origin: string;
  readonly caPem: string | null;
  /** From where it connects; null: as the system likes. */
  readonly localAddress: string | null;
  readonly nodeId: string;
  readonly key: KeyObject;
  readonly wheel: Wheel;
  readonly luck: () => number;
  readonly nowMs: () => number;
  /** How long each message takes, in both directions. */
  readonly delayMs: number;
  readonly newJti: () => string;
  readonly on: {
    open(): void;
    message(message: ManagerMessage): void;
    /** The end of a try or of a link, with a word on why. */
    ended(reason: string, wasOpen: boolean): void;
  };
}

/** The socket of one node: opens it again and again, with the patience of the agent. */
export class LiveLink {
  readonly #settings: LinkSettings;
  readonly #backoff: Backoff;
  #socket: WebSocket | null = null;
  #slot: Slot | null = null;
  #isOff = true;
  #at: number;
  #welcomedAt = 0;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
    this.#at = settings.first;
    this.#backoff = new Backoff({ random: settings.luck });
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }
  get isConnecting(): boolean {
    return this.#socket !== null && !this.isOpen;
  }

  start(inMs: number): void {
    this.#isOff = false;
    this.#later(inMs);
  }

  /** Gone, without a word, until `start`. */
  stop(): void {
    this.#isOff = true;
    this.#settings.wheel.cancel(this.#slot);
    this.#slot = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) drop(socket);
  }

  /** Breaks what is open; the node comes back by itself. */
  cut(reason: string): void {
    const socket = this.#socket;
    if (socket === null) return;
    drop(socket);
    this.#gone(socket, reason);
  }

  /** Stops, or goes on, reading: pings are not answered either. */
  hold(isHeld: boolean): void {
    if (!this.isOpen) return;
    if (isHeld) this.#socket?.pause();
    else this.#socket?.resume();
  }

  send(text: string): boolean {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return false;
    const { delayMs, wheel } = this.#settings;
    if (delayMs === 0) socket.send(text);
    else {
      wheel.in(delayMs, () => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      });
    }
    return true;
  }

  welcomed(): void {
    this.#welcomedAt = performance.now();
    this.#backoff.welcomed();
    this.#settings.wheel.cancel(this.#slot);
    this.#slot = null;
  }

  /** The manager named a slot to come back in. */
  comeBackIn(ms: number): void {
    this.#backoff.slot(ms);
    this.cut('reconnect');
  }

  #later(ms: number): void {
    this.#settings.wheel.cancel(this.#slot);
    this.#slot = this.#settings.wheel.in(ms, () => {
      this.#slot = null;
      this.#connect();
    });
  }

  #connect(): void {
    if (this.#isOff || this.#socket !== null) return;
    const { urls, origin, nodeId, key, nowMs, newJti, localAddress, caPem } = this.#settings;
    const url = urls[this.#at % urls.length] ?? '';
    const token = makeNodeToken({ nodeId, origin, key, nowMs: nowMs(), jti: newJti() });
    const socket = new WebSocket(url.replace(/^http/, 'ws') + LINK_PATH, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: MANAGER_FRAME_BYTES_MAX,
      ...(localAddress === null ? {} : { localAddress }),
      ...(caPem === null ? {} : { ca: caPem }),
    });
    this.#socket = socket;
    let why: string | null = null;
    socket.on('open', () => {
      this.#settings.on.open();
    });
    socket.on('message', (data: Buffer) => {
      this.#received(socket, data);
    });
    socket.on('unexpected-response', (request, response) => {
      why = `http_${response.statusCode ?? 0}`;
      const ms = Number(response.headers['retry-after'] ?? 0) * 1_000 || 0;
      // The answer is below a KiB and comes in one piece; without it, as an agent does without a code.
      const end = (body: string): void => {
        response.removeAllListeners();
        if (body.includes('"code":"manager_busy"')) this.#backoff.slotOfQueue(ms);
        else if (ms > 0) this.#backoff.atLeast(ms);
        request.destroy();
        this.#gone(socket, `http_${response.statusCode ?? 0}`);
      };
      response.once('data', (chunk: Buffer) => {
        end(chunk.toString('utf8'));
      });
      response.once('end', () => {
        end('');
      });
      response.on('error', () => undefined);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why ??= error.code ?? 'error';
    });
    socket.on('close', (code, reason) => {
      this.#gone(socket, why ?? (reason.toString() || `close_${code}`));
    });
    this.#slot = this.#settings.wheel.in(ANSWER_MS_MAX, () => {
      this.#slot = null;
      this.cut('no_answer');
    });
  }

  #received(socket: WebSocket, data: Buffer): void {
    if (this.#socket !== socket) return;
    const message = JSON.parse(data.toString('utf8')) as ManagerMessage;
    const { delayMs, wheel, on } = this.#settings;
    if (delayMs === 0) on.message(message);
    else {
      wheel.in(delayMs, () => {
        if (this.#socket === socket) on.message(message);
      });
    }
  }

  #gone(socket: WebSocket, reason: string): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    const wasOpen = this.#welcomedAt > 0;
    if (wasOpen) this.#backoff.sessionLasted(performance.now() - this.#welcomedAt);
    this.#welcomedAt = 0;
    // One that refused with an answer is there, and may have given a slot in its line.
    if (!reason.startsWith('http_')) this.#at += 1;
    if (reason === 'revoked') this.#backoff.revoked();
    this.#settings.on.ended(reason, wasOpen);
    if (!this.#isOff) this.#later(this.#backoff.next());
  }
}

function drop(socket: WebSocket): void {
  socket.removeAllListeners();
  socket.on('error', () => undefined);
  socket.terminate();
}
