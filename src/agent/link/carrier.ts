import type { IncomingMessage } from 'node:http';

/** How a node reaches its manager. */
export type Transport = 'socket' | 'poll';

/** What a `Connection` needs of what carries it: a WebSocket of `ws` is one, `PollSocket` another. */
export interface Carrier {
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(text: string): void;
  ping(): void;
  close(code: number): void;
  terminate(): void;
  on(event: 'open' | 'ping' | 'pong', listener: () => void): unknown;
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(
    event: 'unexpected-response',
    listener: (request: unknown, response: IncomingMessage) => void,
  ): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number) => void): unknown;
}

/** `readyState` of a carrier that takes messages, as of a WebSocket. */
export const OPEN = 1;
