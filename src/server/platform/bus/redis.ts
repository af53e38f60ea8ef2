import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { meters, OTHER } from '../telemetry/index.js';
import { RedisConnections, redisOptions } from '../redis/connections.js';
import type { RedisLogin } from '../redis/login.js';
import type { Bus } from './bus.port.js';
import { Ears } from './ears.js';
import { write, type MessageOf, type Topic } from './topics.js';

/** What waits for Redis; more is dropped. */
const WAITING_MAX = 1_000;
const WAITING_LETTERS_MAX = 16 * 1024 * 1024;
/** Messages in one round trip: 50 000 commands. */
const PIPELINE_MAX = 100;
/** So often it is asked whether it still listens to us; a connection that lies dead is found by it. */
const PING_EVERY_MS = 10_000;
/** What Redis gets to answer while we close. */
const CLOSE_GRACE_MS = 1_000;
/** Of everybody together in a second; whoever floods us is not another manager. */
const HEARD_PER_SECOND_MAX = 10_000;

export interface RedisBusOptions {
  readonly url: string;
  readonly ca: string | null;
  readonly login?: RedisLogin;
  /** Installations on one Redis tell their managers apart by it. */
  readonly prefix: string;
  readonly log: Logger;
  /** A spec has less of it. */
  readonly heardPerSecondMax?: number;
}

interface Waiting {
  readonly channel: string;
  readonly topic: Topic;
  readonly text: string;
}

/**
 * Pub/sub of Redis: one channel for all managers and one for each. What is told while Redis is away is dropped,
 * and so is what comes faster than Redis takes it. Whatever comes is checked: Redis may be written by others.
 */
export class RedisBus implements Bus {
  readonly isShared = true;
  readonly #prefix: string;
  readonly #redis: RedisConnections;
  readonly #speaker: Redis;
  readonly #listener: Redis;
  readonly #ears: Ears;
  readonly #heardPerSecondMax: number;
  readonly #waiting: Waiting[] = [];
  readonly #pings: NodeJS.Timeout;
  #waitingLetters = 0;
  #id = '';
  #sending: Promise<void> | null = null;
  #isClosed = false;
  #second = 0;
  #heardInSecond = 0;

  constructor({ url, ca, login, prefix, log, ...more }: RedisBusOptions) {
    this.#heardPerSecondMax = more.heardPerSecondMax ?? HEARD_PER_SECOND_MAX;
    this.#prefix = `${prefix}:bus`;
    this.#redis = new RedisConnections(log);
    this.#ears = new Ears(log);
    const options = redisOptions(url, ca, login);
    // A hint that waits for an outage to end is worth nothing.
    this.#speaker = this.#redis.open({ ...options, enableOfflineQueue: false });
    // Subscribes again by itself after each outage.
    this.#listener = this.#redis.open(options);
    this.#listener.on('message', (_channel: string, text: string) => this.#heard(text));
    this.#subscribe(this.#all);
    this.#pings = setInterval(() => {
      if (this.#listener.status === 'ready') this.#listener.ping().catch(() => undefined);
    }, PING_EVERY_MS).unref();
  }

  get #all(): string {
    return `${this.#prefix}:all`;
  }

  answerTo(id: string): void {
    const before = this.#id;
    this.#id = id;
    if (before !== '') this.#listener.unsubscribe(this.#channelOf(before)).catch(() => undefined);
    this.#subscribe(this.#channelOf(id));
  }

  tell<T extends Topic>(topic: T, message: MessageOf<T>, to?: string): boolean {
    if (this.#isClosed || this.#id === '' || to === this.#id) return false;
    const isFull =
      this.#waiting.length >= WAITING_MAX || this.#waitingLetters > WAITING_LETTERS_MAX;
    if (isFull || this.#speaker.status !== 'ready') {
      meters.count('bellwether_bus_messages_total', topic, 'dropped');
      return false;
    }
    const channel = to === undefined ? this.#all : this.#channelOf(to);
    const text = write(this.#id, topic, message);
    this.#waiting.push({ channel, topic, text });
    this.#waitingLetters += text.length;
    this.#start();
    return true;
  }

  hear<T extends Topic>(topic: T, handler: (message: MessageOf<T>) => void): void {
    this.#ears.add(topic, handler);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#pings);
    this.#redis.silence();
    const timer = Promise.withResolvers<null>();
    const patience = setTimeout(() => timer.resolve(null), CLOSE_GRACE_MS);
    await Promise.race([this.#sending, timer.promise]);
    clearTimeout(patience);
    this.#redis.end();
  }

  #channelOf(id: string): string {
    return `${this.#prefix}:to:${id}`;
  }

  #subscribe(channel: string): void {
    this.#listener.subscribe(channel).catch((error: unknown) => {
      if (!this.#isClosed) this.#redis.complain(error as Error);
    });
  }

  #start(): void {
    if (this.#waiting.length === 0) return;
    // Later in this turn, so that what is told together goes together.
    this.#sending ??= Promise.resolve()
      .then(() => this.#send())
      .finally(() => {
        this.#sending = null;
        this.#start();
      });
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, PIPELINE_MAX);
      const pipeline = this.#speaker.pipeline();
      for (const { channel, text } of batch) {
        pipeline.publish(channel, text);
        this.#waitingLetters -= text.length;
      }
      const isSent = await pipeline.exec().then(
        (answers) => answers?.every(([error]) => error === null) === true,
        () => false,
      );
      for (const { topic } of batch) {
        meters.count('bellwether_bus_messages_total', topic, isSent ? 'told' : 'dropped');
      }
    }
  }

  #heard(text: string): void {
    if (this.#isClosed) return;
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.#second) [this.#second, this.#heardInSecond] = [second, 0];
    this.#heardInSecond += 1;
    if (this.#heardInSecond > this.#heardPerSecondMax || !this.#ears.hear(text, this.#id)) {
      meters.count('bellwether_bus_messages_total', OTHER, 'refused');
    }
  }
}
