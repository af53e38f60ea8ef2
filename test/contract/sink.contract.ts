import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FleetEvent } from '../../src/core/event/index.js';
import { eventually } from '../support/fleet.js';
import type { Receiver, Rendered } from '../../src/server/events/sinks/sink.port.js';
import { NetworkGuard } from '../../src/server/events/sinks/network-guard.js';

/** What a receiver has, as far as the suite looks. */
export interface Got {
  readonly id: number;
  readonly message: string;
}

/** A real receiver, and the way to it. */
export interface SinkBench {
  /** A new way to it, that may go where the guard allows. */
  open(guard: NetworkGuard): Receiver;
  /** What the receiver has made its own, in the order in which it came. */
  got(): readonly Got[];
  /** The receiver is away until `up`; null when it has no such thing. */
  readonly down: (() => Promise<void>) | null;
  up(): Promise<void>;
  /** Whether a repetition is found and not kept twice. */
  readonly knowsRepetitions: boolean;
  /** Whether it crosses a network. */
  readonly isRemote: boolean;
  /** Whether "taken" is confirmed by the receiver at all. */
  readonly isConfirmed: boolean;
  clear(): Promise<void>;
  stop(): Promise<void>;
}

export const LOCAL = new NetworkGuard(['127.0.0.0/8']);
const NOWHERE = new NetworkGuard([]);
const never = (): AbortSignal => new AbortController().signal;

export const anEvent = (id: number, over: Partial<FleetEvent> = {}): FleetEvent => ({
  id,
  at: new Date(Date.UTC(2026, 10, 21, 8) + id).toISOString(),
  occurred_at: new Date(Date.UTC(2026, 10, 21, 8)).toISOString(),
  clock: 'ok',
  category: 'upgrade',
  type: 'upgrade_completed',
  version: 1,
  severity: 'info',
  node_id: 'nod_one000',
  group_id: 'grp_east00',
  rollout_id: null,
  command_id: null,
  service: 'edge',
  error_code: null,
  message: `event ${id}`,
  details: { version: '1.0.0' },
  ...over,
});

/** What an attacker on a node would write to be taken for somebody else at the receiver. */
const HOSTILE = [
  'line one\nline two\r\n<134>1 2026-11-21T08:00:00Z evil bellwether - forged - forged',
  '] [meta sequenceId="1"] "\\" \u0000\u0001\u001b[31m\u007f\u0085\u2028\u2029',
  'CEF:0|a|b|c|d=e\\|f \ud800 \udfff 表 🐑 \u202eright to left',
  '{"create":{"_id":"x"}}\n{"index":{}}\n',
  '',
];

export const rendered = (receiver: Receiver, events: readonly FleetEvent[]): Rendered[] =>
  events.map((event) => {
    const text = receiver.render(event);
    return { event, text, bytes: Buffer.byteLength(text) };
  });

const upTo = (count: number, from = 1): number[] =>
  Array.from({ length: count }, (_, index) => from + index);

/** What every kind of sink promises, against a receiver that is as real as it can be. */
export function describeSink(name: string, make: () => Promise<SinkBench>): void {
  describe(`a sink: ${name}`, () => {
    let bench: SinkBench;
    beforeAll(async () => {
      bench = await make();
    });
    afterAll(() => bench.stop());
    beforeEach(() => bench.clear());

    const withReceiver = async <T>(work: (receiver: Receiver) => Promise<T>): Promise<T> => {
      const receiver = bench.open(LOCAL);
      try {
        return await work(receiver);
      } finally {
        await receiver.close();
        await receiver.close();
      }
    };
    const deliver = (receiver: Receiver, ids: readonly number[]) =>
      receiver.deliver(
        rendered(
          receiver,
          ids.map((id) => anEvent(id)),
        ),
        never(),
      );
    const arrived = async (ids: readonly number[]): Promise<void> => {
      await eventually(async () => expect(bench.got().map(({ id }) => id)).toEqual(ids));
    };

    it('delivers batches whole and in order, and says what the receiver said', async () => {
      await withReceiver(async (receiver) => {
        for (const from of [1, 8, 15]) {
          const delivery = await deliver(receiver, upTo(7, from));
          expect(delivery).toMatchObject({ settled: 7, refused: [], failure: null });
          expect(delivery.said).not.toBe('');
        }
      });
      await arrived(upTo(21));
    });

    it('writes one event as one, whatever stands in it', async () => {
      await withReceiver(async (receiver) => {
        const events = HOSTILE.map((message, index) =>
          anEvent(index + 1, { message, details: { message }, service: message.slice(0, 20) }),
        );
        const delivery = await receiver.deliver(rendered(receiver, events), never());
        expect(delivery).toMatchObject({ settled: HOSTILE.length, failure: null });
      });
      await arrived(upTo(HOSTILE.length));
      expect(bench.got().map(({ message }) => message)).toEqual(
        HOSTILE.map((message) => message.toWellFormed()),
      );
    });

    it('gives a repetition the same ids', async () => {
      await withReceiver(async (receiver) => {
        await deliver(receiver, [1, 2]);
        const again = await deliver(receiver, [1, 2, 3]);
        expect(again).toMatchObject({ settled: 3, failure: null });
      });
      await arrived(bench.knowsRepetitions ? [1, 2, 3] : [1, 2, 1, 2, 3]);
    });

    it('settles nothing while the receiver is away, and goes on when it is back', async () => {
      const { down } = bench;
      if (down === null) return;
      await withReceiver(async (receiver) => {
        expect((await deliver(receiver, [1])).settled).toBe(1);
        await arrived([1]);
        await down();
        if (bench.isConfirmed) {
          for (let tries = 0; tries < 2; tries += 1) {
            const away = await deliver(receiver, [2, 3]);
            expect(away.settled).toBe(0);
            expect(away.failure).toMatchObject({ isFaultOfEvent: false });
          }
        }
        await bench.up();
        expect((await deliver(receiver, [2, 3])).settled).toBe(2);
      });
      await arrived([1, 2, 3]);
    });

    it('ends when it is told to, and settles nothing then', async () => {
      await withReceiver(async (receiver) => {
        const batch = rendered(receiver, [anEvent(1)]);
        const delivery = await receiver.deliver(batch, AbortSignal.abort(new Error('told to end')));
        expect(delivery).toMatchObject({ settled: 0 });
        expect(delivery.failure).not.toBeNull();
      });
      expect(bench.got()).toEqual([]);
    });

    it('reaches only addresses that are allowed', async () => {
      if (!bench.isRemote) return;
      const receiver = bench.open(NOWHERE);
      const delivery = await deliver(receiver, [1]);
      await receiver.close();
      expect(delivery).toMatchObject({ settled: 0, failure: { code: 'sink_address_forbidden' } });
      expect(bench.got()).toEqual([]);
    });

    it('says what fits into one batch', () => {
      const receiver = bench.open(LOCAL);
      const { events, bytes, eventBytes } = receiver.limits;
      for (const limit of [events, bytes, eventBytes]) expect(limit).toBeGreaterThanOrEqual(1);
      expect(eventBytes).toBeLessThanOrEqual(bytes);
      return receiver.close();
    });
  });
}
