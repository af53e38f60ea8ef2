/** How a node reaches this manager. */
export type Transport = 'socket' | 'poll';

/**
 * What a `Session` needs of what carries it: a WebSocket of `ws` is one, a `PollWire` another. The
 * same rules hold over both.
 */
export interface Wire {
  readonly readyState: number;
  readonly OPEN: number;
  /** Bytes that were sent and have not left, or are not known to have arrived. */
  readonly bufferedAmount: number;
  send(text: string): void;
  ping(): void;
  /** Reads nothing more of the peer until `resume`; a few messages may still come. Left out where nothing can be held. */
  pause?(): void;
  resume?(): void;
  /** The peer is told; what was sent before still goes. */
  close(code: number, reason: string): void;
  /** The peer is not told. */
  terminate(): void;
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'pong' | 'close', listener: () => void): unknown;
}

export interface LinkClock {
  /** Milliseconds since 1970: what the node is told. */
  now(): number;
  /** Never goes back and never jumps: what silence is measured by. */
  monotonicMs(): number;
}
