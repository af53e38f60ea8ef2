import { FleetError, SECOND_MS } from '../../../core/kernel/index.js';
import {
  EVENTS_WS_CREDIT_MAX,
  EventsConsumerMessage,
  type EventsManagerMessage,
} from '../../../protocol/api/index.js';
import { TokenBucket, type Admission } from '../../gateway/index.js';
import type { Caller } from '../../platform/index.js';
import type { Batch } from './feed.js';
import { endOf, type Stream, type StreamEnd, type Streams } from './streams.js';

/** A consumer says `start` within this time. */
const START_MS_MAX = 10 * SECOND_MS;
const HEARTBEAT_MS = 15 * SECOND_MS;
const CLOSE_MS_MAX = 1 * SECOND_MS;
/** Events in one frame: some 50 KiB. */
const BATCH = 100;
/** Messages of a consumer: one credit for each batch is far below. */
const MESSAGES_BURST = 200;
const MESSAGES_PER_SECOND = 50;

/** RFC 6455, 7.4.1, and the IANA registry: going away, policy violation, try again later. */
const CLOSE_CODE: Readonly<Partial<Record<string, number>>> = {
  unavailable: 1001,
  stream_too_slow: 1013,
};
const POLICY_VIOLATION = 1008;

type Socket = Admission['socket'];
type Start = Extract<EventsConsumerMessage, { type: 'start' }>;

const invalid = (message: string): FleetError => new FleetError('stream_message_invalid', message);

/** Resolves false when the time is over first. */
const within = <T>(ms: number, what: Promise<T>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  return Promise.race([what.then(() => true), late]).finally(() => clearTimeout(timer));
};

/**
 * One WebSocket of a consumer. It is sent as many events as it granted and not one more; what is not
 * granted stays in the log, and so nothing piles up here, however slow it is.
 */
export class WsConsumer {
  readonly #socket: Socket;
  readonly #caller: Caller;
  readonly #streams: Streams;
  readonly #started = Promise.withResolvers<Start>();
  readonly #bucket = new TokenBucket(MESSAGES_BURST, MESSAGES_PER_SECOND, performance.now());
  #hasStarted = false;
  #credit = 0;
  /** Since when there is no credit; by the monotonic clock. */
  #emptySinceMs = performance.now();
  #stream: Stream | null = null;
  #toldAfter = 0;
  #isAlive = true;

  constructor(socket: Socket, caller: Caller, streams: Streams) {
    this.#socket = socket;
    this.#caller = caller;
    this.#streams = streams;
    // An oversized frame: ws closes by itself, and the close is what counts.
    socket.on('error', () => undefined);
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      try {
        this.#hear(data, isBinary);
      } catch (error) {
        this.#end(endOf(error));
      }
    });
  }

  /** Resolves when the socket has closed, or was told to. */
  async run(): Promise<void> {
    const heart = setInterval(() => this.#beat(), HEARTBEAT_MS);
    const gone = new Promise<null>((resolve) => {
      this.#socket.once('close', () => {
        this.#stream?.end({ code: 'closed', message: 'closed' });
        resolve(null);
      });
    });
    try {
      if (!(await within(START_MS_MAX, Promise.race([this.#started.promise, gone])))) {
        throw invalid('say `start` first');
      }
      if (this.#socket.readyState === this.#socket.OPEN) await this.#follow();
    } catch (error) {
      this.#end(endOf(error));
    } finally {
      clearInterval(heart);
      if (this.#stream !== null) this.#streams.close(this.#stream);
    }
  }

  /** The manager is stopping. */
  leave(): void {
    this.#end({ code: 'unavailable', message: 'the manager is stopping' });
  }

  async #follow(): Promise<void> {
    const { after, filter, credit } = await this.#started.promise;
    this.#grant(credit);
    const stream = await this.#streams.open(this.#caller, filter, after);
    this.#stream = stream;
    this.#toldAfter = stream.feed.after;
    const { oldest, newest } = await this.#streams.extent();
    this.#say({ type: 'ready', after: stream.feed.after, oldest, newest });
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    while (!stream.isOver) await this.#step(stream);
    this.#end(await stream.ended);
  }

  async #step(stream: Stream): Promise<void> {
    if (this.#credit === 0) {
      const leftMs = this.#emptySinceMs + this.#streams.patience.creditMs - performance.now();
      if (leftMs <= 0) {
        throw new FleetError('stream_too_slow', 'no credit was granted for too long');
      }
      await stream.wait(leftMs);
      return;
    }
    const batch = await stream.feed.take(Math.min(BATCH, this.#credit));
    if (batch === null) await stream.wait();
    else if (batch.items.length > 0) await this.#send(batch);
  }

  async #send({ items, through }: Batch): Promise<void> {
    this.#credit -= items.length;
    this.#emptySinceMs = performance.now();
    this.#toldAfter = through;
    // The lines are JSON already: made once for all readers, and put together here.
    const text = `{"type":"events","items":[${items.map(({ line }) => line).join(',')}]}`;
    const sent = new Promise<null>((resolve) => {
      this.#socket.send(text, () => resolve(null));
    });
    if (await within(this.#streams.patience.slowMs, sent)) return;
    throw new FleetError('stream_too_slow', 'what was sent was not taken for too long');
  }

  #hear(data: Buffer, isBinary: boolean): void {
    if (isBinary || !this.#bucket.take(performance.now())) throw invalid('send text, and slower');
    let json: unknown;
    try {
      json = JSON.parse(data.toString('utf8')) as unknown;
    } catch {
      throw invalid('that is not JSON');
    }
    const parsed = EventsConsumerMessage.safeParse(json);
    if (!parsed.success) {
      const [problem] = parsed.error.issues;
      throw invalid(`${problem?.path.join('.') ?? 'message'}: ${problem?.message ?? 'invalid'}`);
    }
    if (parsed.data.type === 'credit') {
      this.#grant(parsed.data.events);
      return;
    }
    if (this.#hasStarted) throw invalid('`start` is said once');
    this.#hasStarted = true;
    this.#started.resolve(parsed.data);
  }

  #grant(events: number): void {
    this.#credit += events;
    if (this.#credit > EVENTS_WS_CREDIT_MAX) {
      throw invalid(`grant ${EVENTS_WS_CREDIT_MAX} events at most`);
    }
    this.#stream?.wake();
  }

  #beat(): void {
    if (!this.#isAlive) {
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#socket.ping();
    const after = this.#stream?.feed.after ?? 0;
    if (after <= this.#toldAfter || this.#socket.bufferedAmount > 0) return;
    this.#toldAfter = after;
    this.#say({ type: 'progress', after });
  }

  #say(message: EventsManagerMessage): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Told where to resume, then closed; cut off when it does not answer. */
  #end(end: StreamEnd): void {
    const resume = this.#stream?.feed.after ?? 0;
    this.#say({ type: 'end', ...end, resume_after: resume });
    this.#socket.close(CLOSE_CODE[end.code] ?? POLICY_VIOLATION, end.code);
    setTimeout(() => this.#socket.terminate(), CLOSE_MS_MAX).unref();
    this.#started.resolve({ type: 'start', credit: 0, filter: {} });
    this.#stream?.end(end);
  }
}
