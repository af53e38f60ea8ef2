import type { Asked, Behaviour, Told } from './http-receiver.js';

/**
 * A Splunk HTTP Event Collector as its documentation tells it ("Format events for HTTP Event Collector",
 * "About HTTP Event Collector Indexer Acknowledgment", "Troubleshoot HTTP Event Collector": possible error
 * codes), and as strict as the text.
 */
export class HecReceiver {
  readonly token = 'd5a1b0e2-7f4e-4b6e-9c1d-000000000001';
  /** What indexers have made durable, in order. */
  readonly indexed: { readonly event: Record<string, unknown>; readonly fields: unknown }[] = [];
  readonly channels = new Set<string>();
  /** Whether the indexers acknowledge at all. */
  acknowledges = true;
  /** Events of this type are refused as wrong. */
  refusedType: string | null = null;
  readonly #pending = new Map<number, HecReceiver['indexed']>();
  #nextAck = 0;

  readonly behave: Behaviour = (asked) => {
    const { pathname } = new URL(asked.path, 'http://receiver');
    if (asked.method !== 'POST') return { status: 405 };
    if (asked.headers.authorization === undefined) return tell(401, 2, 'Token is required');
    if (asked.headers.authorization !== `Splunk ${this.token}`)
      return tell(403, 4, 'Invalid token');
    if (pathname === '/services/collector/event') return this.#take(asked);
    if (pathname === '/services/collector/ack') return this.#acks(asked);
    return { status: 404 };
  };

  #take(asked: Asked): Told {
    const channel = asked.headers['x-splunk-request-channel'];
    if (typeof channel !== 'string') return tell(400, 10, 'Data channel is missing');
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(channel)) {
      return tell(400, 11, 'Invalid data channel');
    }
    this.channels.add(channel);
    if (asked.body === '') return tell(400, 5, 'No data');
    const taken: HecReceiver['indexed'] = [];
    for (const [number, text] of asked.body.split('\n').entries()) {
      const told = this.#one(text, taken);
      if (told !== null)
        return tell(400, told, 'Invalid data format', { 'invalid-event-number': number });
    }
    this.#nextAck += 1;
    this.#pending.set(this.#nextAck, taken);
    return tell(200, 0, 'Success', { ackId: this.#nextAck });
  }

  #one(text: string, taken: HecReceiver['indexed']): number | null {
    let parsed: Record<string, unknown>;
    try {
      parsed = JSON.parse(text) as Record<string, unknown>;
    } catch {
      return 6;
    }
    const { event, fields = {}, time, ...rest } = parsed;
    if (event === undefined) return 12;
    if (event === '' || event === null) return 13;
    if (Object.keys(rest).some((key) => !['host', 'source', 'sourcetype', 'index'].includes(key)))
      return 6;
    if (typeof time !== 'number') return 6;
    if (Object.values(fields as object).some((value) => typeof value === 'object')) return 15;
    const told = event as Record<string, unknown>;
    if (this.refusedType !== null && told['type'] === this.refusedType) return 6;
    taken.push({ event: told, fields });
    return null;
  }

  #acks(asked: Asked): Told {
    const channel = new URL(asked.path, 'http://receiver').searchParams.get('channel') ?? '';
    if (!this.channels.has(channel)) return tell(400, 11, 'Invalid data channel');
    const { acks } = JSON.parse(asked.body) as { acks: number[] };
    const told: Record<string, boolean> = {};
    for (const ack of acks) {
      const waiting = this.#pending.get(ack);
      told[String(ack)] = this.acknowledges && waiting !== undefined;
      if (!this.acknowledges || waiting === undefined) continue;
      this.indexed.push(...waiting);
      // "Once an ackID is returned as true it is deleted."
      this.#pending.delete(ack);
    }
    return { status: 200, body: JSON.stringify({ acks: told }) };
  }
}

const tell = (status: number, code: number, text: string, more: object = {}): Told => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ text, code, ...more }),
});
