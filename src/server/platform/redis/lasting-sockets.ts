import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis';

const DISCONNECT_MAX_MS = 2_000;
/** One sentinel of several that does not answer is passed over soon. */
const SENTINEL_ANSWER_MAX_MS = 2_000;
const ASK_AGAIN_STEP_MS = 200;
const ASK_AGAIN_MAX_MS = 2_000;
const SENTINEL_PORT = 26_379;

type TlsOptions = NonNullable<RedisOptions['tls']>;

/** Where a socket goes. */
interface Place {
  readonly host: string;
  readonly port: number;
}

/** What a connection with TLS asks of whom it meets. With `ca` that is trusted and nobody else. */
export const tlsOptions = (host: string, ca: string | null): TlsOptions => ({
  // An address has no name that could be asked for.
  ...(isIP(host) === 0 ? { servername: host } : {}),
  ...(ca === null ? {} : { ca }),
});

/**
 * A socket whose errors are always heard. Those of ioredis hear the first only, and a socket with TLS may
 * have two: after a certificate that is refused, the server can still complain of how it ended. An error
 * that nobody hears would end the process.
 */
function lastingSocket(
  { host, port }: Place,
  tls: TlsOptions | undefined,
  hear: (error: Error) => void,
): Socket {
  const stream = tls === undefined ? connect({ host, port }) : connectTls({ host, port, ...tls });
  stream.on('error', hear);
  return stream;
}

/** To the place that the address names. */
export class LastingConnector extends AbstractConnector {
  readonly #options: RedisOptions;

  constructor(options: unknown) {
    const given = options as RedisOptions;
    super(given.disconnectTimeout ?? DISCONNECT_MAX_MS);
    this.#options = given;
  }

  connect(): Promise<Socket> {
    this.connecting = true;
    const { host = 'localhost', port = 6379, tls } = this.#options;
    const stream = lastingSocket({ host, port }, tls, (error) => {
      this.firstError ??= error;
    });
    this.stream = stream;
    return Promise.resolve(stream);
  }
}

/** Whom to ask where the master is. */
export interface Sentinels {
  readonly name: string;
  readonly places: readonly Place[];
  readonly password: string | null;
  /** Whom to trust with TLS; undefined: sentinels and servers speak without. */
  readonly tls: { readonly ca: string | null } | undefined;
}

/** `host:port`, the host perhaps in brackets. */
export function placeOf(text: string): Place {
  const at = text.lastIndexOf(':');
  const host = text.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(text.slice(at + 1)) || SENTINEL_PORT };
}

/**
 * To the master that one of the sentinels names, asked anew for every socket. It waits, and asks again, for as
 * long as none of them knows one: ioredis would give up on a connector that fails. A server that turns out
 * not to be the master is left, and the next sentinel is asked first.
 */
export const sentinelConnector = (sentinels: Sentinels): NonNullable<RedisOptions['Connector']> =>
  class extends AbstractConnector {
    #ended = new AbortController();
    #first = 0;

    constructor() {
      super(DISCONNECT_MAX_MS);
    }

    async connect(tell: (type: string, error: Error) => void): Promise<Socket> {
      this.connecting = true;
      this.#ended = new AbortController();
      for (let round = 1; ; round += 1) {
        const place = await this.#ask(tell);
        this.#requireWanted();
        if (place !== null) return this.#open(place);
        await pause(Math.min(ASK_AGAIN_MAX_MS, ASK_AGAIN_STEP_MS * round), this.#ended.signal);
        this.#requireWanted();
      }
    }

    /** Of a server that says it is something else, another sentinel may know better. */
    override check(info: { readonly role?: string }): boolean {
      const isMaster = info.role === undefined || info.role === 'master';
      if (!isMaster) this.#first += 1;
      return isMaster;
    }

    override disconnect(): void {
      super.disconnect();
      this.#ended.abort();
    }

    /** Somebody may have ended it while it waited. */
    #requireWanted(): void {
      if (!this.connecting) throw new Error('the connection was closed');
    }

    #open(place: Place): Socket {
      const { tls } = sentinels;
      const asked = tls === undefined ? undefined : tlsOptions(place.host, tls.ca);
      const stream = lastingSocket(place, asked, (error) => {
        this.firstError ??= error;
      });
      this.stream = stream;
      return stream;
    }

    async #ask(tell: (type: string, error: Error) => void): Promise<Place | null> {
      const { places } = sentinels;
      let last = new Error(`no sentinel knows a master of the name ${sentinels.name}`);
      for (let turn = 0; turn < places.length && this.connecting; turn += 1) {
        const at = (this.#first + turn) % places.length;
        try {
          const place = await askedAt(sentinels, places[at] as Place);
          if (place !== null) {
            this.#first = at;
            return place;
          }
        } catch (error) {
          last = error as Error;
        }
      }
      if (this.connecting) tell('error', last);
      return null;
    }
  };

/** Null when this sentinel knows of no such master. */
async function askedAt(sentinels: Sentinels, at: Place): Promise<Place | null> {
  const { name, password, tls } = sentinels;
  const client = new Redis({
    ...at,
    ...(password === null ? {} : { password }),
    ...(tls === undefined ? {} : { tls: tlsOptions(at.host, tls.ca) }),
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: null,
    connectTimeout: SENTINEL_ANSWER_MAX_MS,
    commandTimeout: SENTINEL_ANSWER_MAX_MS,
    Connector: LastingConnector,
  });
  const heard: Error[] = [];
  client.on('error', (error: Error) => heard.push(error));
  try {
    const answer = await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
    const [host, port] = Array.isArray(answer) ? (answer as unknown[]) : [];
    const isPlace = typeof host === 'string' && host !== '' && /^\d{1,5}$/.test(String(port));
    return isPlace ? { host, port: Number(port) } : null;
  } catch (error) {
    // What the socket said tells more than that the command came to nothing.
    throw heard.at(-1) ?? (error as Error);
  } finally {
    client.disconnect();
  }
}

const pause = (ms: number, ended: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    ended.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
