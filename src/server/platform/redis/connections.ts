import { Redis, type RedisOptions } from 'ioredis';
import type { Logger } from 'pino';
import { isUntrusted } from '../config/index.js';
import { LastingConnector, placeOf, sentinelConnector, tlsOptions } from './lasting-sockets.js';
import { NO_LOGIN, type RedisLogin } from './login.js';

const RECONNECT_STEP_MS = 100;
const RECONNECT_MAX_MS = 2_000;
/** A server that takes commands and answers none is as good as gone. BullMQ blocks 10 s at most. */
const SILENCE_MAX_MS = 15_000;
const CONNECT_MAX_MS = 5_000;
/** Errors of a server that can be reached, such as a full one, come with every command. */
const COMPLAIN_EVERY_MS = 10_000;
/** A step that the outage cut short can fail moments after it. What is really wrong is still wrong later. */
const AFTERMATH_MS = 2_000;

/**
 * What ioredis needs to know of `redis[s]://user:password@host:port/database`. With TLS, `ca` is trusted
 * and nobody else; without it, whom Node trusts. With sentinels, the host is the name that they know, and
 * they say where that is; then with TLS they speak it too.
 */
export function redisOptions(
  url: string,
  ca: string | null = null,
  login: RedisLogin = NO_LOGIN,
): RedisOptions {
  const { protocol, hostname, port, username, password, pathname } = new URL(url);
  const host = decodeURIComponent(hostname).replace(/^\[(.*)\]$/, '$1');
  const isTls = protocol === 'rediss:';
  const secret = login.password ?? decodeURIComponent(password);
  return {
    host,
    port: Number(port || 6379),
    db: Number(pathname.slice(1) || 0),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(secret === '' ? {} : { password: secret }),
    ...(isTls ? { tls: tlsOptions(host, ca) } : {}),
    // BullMQ asks for it: commands wait for the connection, they do not fail.
    maxRetriesPerRequest: null,
    retryStrategy: (attempts) => Math.min(RECONNECT_MAX_MS, RECONNECT_STEP_MS * attempts),
    socketTimeout: SILENCE_MAX_MS,
    connectTimeout: CONNECT_MAX_MS,
    ...connectorOf(host, isTls ? { ca } : undefined, login),
  };
}

function connectorOf(
  name: string,
  tls: { readonly ca: string | null } | undefined,
  { sentinels, sentinelPassword: password }: RedisLogin,
): Pick<RedisOptions, 'Connector' | 'reconnectOnError'> {
  if (sentinels.length === 0) return { Connector: LastingConnector };
  return {
    Connector: sentinelConnector({ name, places: sentinels.map(placeOf), password, tls }),
    // A master that was relieved takes no writes: ask who is, and send it there.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
  };
}

/**
 * The connections of one adapter: they mend themselves and come up in the background. An outage is
 * told once, however many attempts fail, and so is its end. Only messages are logged: errors of
 * ioredis carry the command, and with it the password.
 */
export class RedisConnections {
  readonly #log: Logger;
  readonly #open = new Set<Redis>();
  readonly #away = new Set<Redis>();
  #complainedAtMs = -Infinity;
  #backAtMs = -Infinity;
  #isClosing = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  get isAway(): boolean {
    return this.#away.size > 0;
  }

  /** A connection, and those that BullMQ makes of it. */
  open(options: RedisOptions): Redis {
    const client = new Redis(options);
    this.#open.add(client);
    client.on('error', (error: Error) => this.#lost(client, reasonOf(error)));
    client.on('close', () => this.#lost(client, 'the connection was closed'));
    client.on('ready', () => this.#back(client));
    client.duplicate = (changes) => this.open({ ...client.options, ...changes });
    // BullMQ prints its view of this line to the console; ours goes into the log.
    const info = client.info.bind(client) as (...sections: string[]) => Promise<string>;
    client.info = ((...sections: string[]) =>
      sections.length > 0
        ? info(...sections)
        : info().then((text) => text.replace(/^maxmemory_policy:.*$/m, ''))) as Redis['info'];
    return client;
  }

  /** Says it once when this server may throw alarms away to make room. */
  checkEviction(client: Redis): void {
    const check = async (): Promise<void> => {
      const policy = /^maxmemory_policy:(\S+)/m.exec(await client.info('memory'))?.[1];
      if (policy === undefined || policy === 'noeviction') return;
      this.#log.warn(
        { policy },
        'Redis may evict wake-ups when its memory is full; set maxmemory-policy to noeviction',
      );
    };
    client.once('ready', () => {
      check().catch((error: unknown) => this.complain(error as Error));
    });
  }

  /** For errors of commands; those of an outage that is already told are left out. */
  complain(error: Error): void {
    const now = performance.now();
    if (this.#isClosing || this.isAway) return;
    if (now - this.#backAtMs < AFTERMATH_MS) return;
    if (now - this.#complainedAtMs < COMPLAIN_EVERY_MS) return;
    this.#complainedAtMs = now;
    this.#log.warn({ reason: reasonOf(error) }, 'Redis refused a step of the wake-ups');
  }

  /** From here on nothing is told: connections go because we end them. */
  silence(): void {
    this.#isClosing = true;
  }

  /** Ends them all; commands that still wait for an answer are rejected. */
  end(): void {
    for (const client of this.#open) {
      client.disconnect();
      // Between two attempts ioredis would keep its commands waiting for ever; a last attempt ends.
      if (client.status !== 'reconnecting') continue;
      client.once('ready', () => client.disconnect());
      client.connect().catch(() => undefined);
    }
  }

  #lost(client: Redis, reason: string): void {
    const isNews = this.#away.size === 0 && !this.#isClosing;
    this.#away.add(client);
    if (!isNews) return;
    const text = 'Redis is out of reach: until it is back, the sweep leads rollouts on';
    this.#log.warn({ reason }, text);
  }

  #back(client: Redis): void {
    if (!this.#away.delete(client) || this.#away.size > 0 || this.#isClosing) return;
    this.#backAtMs = performance.now();
    this.#log.info('Redis is back');
  }
}

function reasonOf(error: Error & { code?: string }): string {
  const { code = error.name, message } = error;
  if (isUntrusted(code)) {
    return `its certificate is not trusted (${message}): set BELLWETHER_REDIS_CA_FILE to the authority that issued it`;
  }
  // Of several addresses that were all refused, Node gives an error without a message.
  return message === '' ? code : message;
}
