import { once } from 'node:events';
import { WebSocket } from 'ws';
import {
  EVENTS_WS_PATH,
  EVENTS_WS_SUBPROTOCOL,
  EventsManagerMessage,
  type Event,
} from '../../src/protocol/api/index.js';

/** One server-sent event, as the standard reads it. */
export interface Told {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** A reader of server-sent events that a spec can slow down and cut off. */
export interface SseReader {
  readonly status: number;
  readonly headers: Headers;
  /** The next one that is no heartbeat; null at the end of the stream. */
  next(): Promise<Told | null>;
  /** The next ones, as many events. */
  events(count: number): Promise<Event[]>;
  close(): void;
}

export async function readSse(
  url: string,
  options: {
    readonly token: string;
    readonly query?: Readonly<Record<string, string | number | boolean>>;
    readonly lastEventId?: string;
  },
): Promise<SseReader> {
  const address = new URL('/api/v1/events/stream', url);
  for (const [key, value] of Object.entries(options.query ?? {})) {
    address.searchParams.set(key, String(value));
  }
  const cut = new AbortController();
  const response = await fetch(address, {
    headers: {
      authorization: `Bearer ${options.token}`,
      ...(options.lastEventId === undefined ? {} : { 'last-event-id': options.lastEventId }),
    },
    signal: cut.signal,
  });
  const told = toldIn(response.body as AsyncIterable<Uint8Array> | null);
  const next = async (): Promise<Told | null> => {
    const result = await told.next();
    return result.done === true ? null : result.value;
  };
  return {
    status: response.status,
    headers: response.headers,
    next,
    events: async (count) => {
      const events: Event[] = [];
      while (events.length < count) {
        const one = await next();
        if (one === null) throw new Error(`the stream ended after ${events.length} events`);
        if (one.event === 'message') events.push(JSON.parse(one.data) as Event);
        else if (one.event === 'end') throw new Error(`the stream ended: ${one.data}`);
      }
      return events;
    },
    close: () => cut.abort(),
  };
}

async function* toldIn(body: AsyncIterable<Uint8Array> | null): AsyncGenerator<Told> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const fields = text
          .slice(0, end)
          .split('\n')
          .filter((line) => !line.startsWith(':'));
        text = text.slice(end + 2);
        const field = (name: string): string | undefined =>
          fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const data = field('data');
        if (data !== undefined) {
          yield { event: field('event') ?? 'message', id: field('id') ?? '', data };
        }
      }
    }
  } catch {
    // A stream that was cut off is over, whoever did it.
  }
}

/** A consumer over WebSocket, told by the spec what to say. */
export interface WsReader {
  send(message: unknown): void;
  next(): Promise<EventsManagerMessage>;
  /** How many messages have come and were not taken. */
  waiting(): number;
  readonly closed: Promise<number>;
  close(): void;
}

/** Rejects with the status when it is turned away. */
export async function openEventsSocket(
  url: string,
  token: string | null,
  subprotocol = EVENTS_WS_SUBPROTOCOL,
): Promise<WsReader> {
  const socket = new WebSocket(url.replace('http', 'ws') + EVENTS_WS_PATH, subprotocol, {
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
  });
  const inbox: EventsManagerMessage[] = [];
  let wake = Promise.withResolvers<null>();
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  socket.on('message', (data: Buffer) => {
    inbox.push(EventsManagerMessage.parse(JSON.parse(data.toString())));
    wake.resolve(null);
    wake = Promise.withResolvers<null>();
  });
  const refused = new Promise<never>((_, reject) => {
    socket.once('unexpected-response', (request, response) => {
      request.destroy();
      reject(new Error(String(response.statusCode)));
    });
  });
  await Promise.race([once(socket, 'open'), refused]);
  return {
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next: async () => {
      for (;;) {
        const message = inbox.shift();
        if (message !== undefined) return message;
        const isOver = await Promise.race([
          wake.promise.then(() => false),
          closed.then(() => true),
        ]);
        if (isOver && inbox.length === 0) throw new Error('the socket has closed');
      }
    },
    waiting: () => inbox.length,
    closed,
    close: () => socket.close(),
  };
}
