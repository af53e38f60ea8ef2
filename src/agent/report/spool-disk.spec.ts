import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountSmallDisk, type SmallDisk } from '../../../test/support/small-disk.js';
import { Spool, type SpoolEvent, type SpoolOptions } from './index.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-spool-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const anEvent = (id: string): { id: string; event: SpoolEvent } => ({
  id,
  event: {
    at: '2026-11-20T08:00:00.000Z',
    type: 'upgrade_started',
    category: 'upgrade',
    severity: 'warning',
    service: 'edge',
    command_id: null,
    message: id,
    details: {},
  },
});
const idsIn = async (spool: Spool): Promise<string[]> =>
  (await spool.read(spool.firstSeq - 1, 10_000)).events.map((event) => event.message);
const logsIn = (where: string): string[] =>
  readdirSync(where)
    .filter((name) => name.endsWith('.log'))
    .sort();

const disk = mountSmallDisk();
disk?.remove();

describe.skipIf(disk === null)('a spool on a full disk', () => {
  let small: SmallDisk;
  beforeEach(() => {
    small = mountSmallDisk()!;
  });
  afterEach(() => {
    small.remove();
  });
  const where = (): string => join(small.path, 'spool');

  it('rejects, keeps what it promised, and goes on without a gap when there is room', async () => {
    const spool = await Spool.open(where());
    const promised: string[] = [];
    const refused: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      const id = `e${i}`;
      if (i === 5) small.fill();
      if (i === 15) small.free();
      // Long ones, so that a line cannot hide in the room that its block still has.
      const big = anEvent(id);
      const event = { ...big.event, details: { long: 'x'.repeat(4_000) } };
      await spool.append([{ id, event }]).then(
        () => promised.push(id),
        (error: unknown) => {
          expect(String(error)).toContain('ENOSPC');
          refused.push(id);
        },
      );
    }
    expect(refused.length).toBeGreaterThan(3);
    expect(await idsIn(spool)).toEqual(promised);
    expect([spool.nextSeq, spool.dropped]).toEqual([promised.length + 1, 0]);
    await spool.close();
    const again = await Spool.open(where());
    expect(again.recovered).toBeNull();
    expect(await idsIn(again)).toEqual(promised);
    await again.close();
  });

  it('that begins a new file on it leaves none behind, and can be acknowledged', async () => {
    const spool = await Spool.open(where(), { segmentBytesMax: 500 });
    for (let i = 0; i < 5; i += 1) await spool.append([anEvent(`e${i}`)]);
    const before = logsIn(where());
    small.fill();
    await expect(
      Promise.all([5, 6, 7].map((i) => spool.append([anEvent(`e${i}`)]))),
    ).rejects.toThrow('ENOSPC');
    expect(logsIn(where())).toEqual(before);
    // The note of the acknowledgement cannot be written; that only costs work after a restart.
    await spool.acknowledge(3).catch((error: unknown) => {
      expect(String(error)).toContain('ENOSPC');
    });
    small.free();
    await spool.append([anEvent('e8')]);
    expect(await idsIn(spool)).toEqual(['e3', 'e4', 'e8']);
    await spool.close();
  });
});

describe('an acknowledgement', () => {
  it('beyond what was given, below what it was, or of nothing changes nothing', async () => {
    const spool = await Spool.open(folder);
    await spool.append(['a', 'b', 'c'].map((id) => anEvent(id)));
    for (const through of [4, 1_000, Number.MAX_SAFE_INTEGER, 0, -1]) {
      await spool.acknowledge(through);
      expect([spool.firstSeq, spool.backlog]).toEqual([1, 3]);
    }
    await spool.acknowledge(2);
    await spool.acknowledge(1);
    expect([spool.firstSeq, spool.backlog]).toEqual([3, 1]);
    await spool.acknowledge(3);
    expect([spool.firstSeq, spool.backlog, spool.nextSeq]).toEqual([4, 0, 4]);
    await spool.close();
  });

  it.each(['', 'nonsense', '00000000 spl_x 99', '\0'.repeat(40)])(
    'whose note is %j on the disk is taken as never noted, so that nothing is lost',
    async (note) => {
      const first = await Spool.open(folder);
      await first.append(['a', 'b'].map((id) => anEvent(id)));
      await first.acknowledge(1);
      await first.close();
      writeFileSync(join(folder, 'acked'), note);
      const second = await Spool.open(folder);
      expect([second.recovered, await idsIn(second)]).toEqual([null, ['a', 'b']]);
      await second.close();
    },
  );

  it('of another spool id counts for nothing', async () => {
    const first = await Spool.open(folder);
    await first.append(['a', 'b'].map((id) => anEvent(id)));
    await first.acknowledge(2);
    await first.close();
    const note = readFileSync(join(folder, 'acked'));
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    const second = await Spool.open(folder);
    await second.append([anEvent('c')]);
    await second.close();
    writeFileSync(join(folder, 'acked'), note);
    const third = await Spool.open(folder);
    expect(await idsIn(third)).toEqual(['c']);
    await third.close();
  });
});

/** What the manager keeps: everything once, by spool id and number, and nothing out of order. */
class Manager {
  readonly stored: string[] = [];
  through = 0;

  take(events: readonly { readonly seq: number; readonly message: string }[]): void {
    for (const { seq, message } of events) {
      if (seq <= this.through) continue;
      expect(seq, 'no number is left out').toBe(this.through + 1);
      this.through = seq;
      this.stored.push(message);
    }
  }
}

const count = fc.nat(6);
const Deed = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), count }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), count }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), count }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('ack' as const), count: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reopen' as const), count }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), count: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose_note' as const), count }) },
);

describe('whatever is appended, delivered, acknowledged, repeated, cut short or opened again', () => {
  it('each event reaches the manager exactly once, in order, with gapless numbers', async () => {
    const run = fc.record({
      deeds: fc.array(Deed, { maxLength: 60 }),
      segmentBytesMax: fc.constantFrom(300, 1_000, 256 * 1024),
    });
    await fc.assert(
      fc.asyncProperty(run, async ({ deeds, segmentBytesMax }) => {
        const where = mkdtempSync(join(folder, 'run-'));
        const options: SpoolOptions = { segmentBytesMax };
        let spool = await Spool.open(where, options);
        const manager = new Manager();
        const promised: string[] = [];
        for (const { do: deed, count: n } of deeds) {
          if (deed === 'append') {
            const ids = Array.from({ length: n }, (_, i) => `e${promised.length + i}`);
            // In two calls at once, as two services would.
            await Promise.all([
              spool.append(ids.slice(0, 2).map(anEvent)),
              spool.append(ids.slice(2).map(anEvent)),
            ]);
            promised.push(...ids);
          } else if (deed === 'repeat') {
            await spool.append(promised.slice(-n - 1).map(anEvent));
          } else if (deed === 'deliver') {
            // From what this side knows to be acknowledged: more may have arrived already.
            const { events, isGap } = await spool.read(spool.firstSeq - 1, n + 1);
            expect(isGap).toBe(false);
            manager.take(events);
          } else if (deed === 'ack') {
            await spool.acknowledge(n > 30 ? manager.through : Math.min(n, manager.through));
          } else {
            await spool.close();
            if (deed === 'crash') {
              const torn = `0badc0de {"seq":${spool.nextSeq},"id":"torn","event":{"message":"x"}}`;
              const last = join(where, logsIn(where).at(-1)!);
              writeFileSync(last, torn.slice(0, n % (torn.length + 1)), { flag: 'a' });
            }
            if (deed === 'lose_note') rmSync(join(where, 'acked'), { force: true });
            const before = spool.id;
            spool = await Spool.open(where, options);
            expect([spool.id, spool.recovered]).toEqual([before, null]);
            if (existsSync(join(where, 'acked'))) continue;
            // As `welcome` does when the link opens.
            await spool.acknowledge(manager.through);
          }
        }
        while (manager.stored.length < promised.length) {
          const { events } = await spool.read(spool.firstSeq - 1, 7);
          expect(events.length).toBeGreaterThan(0);
          manager.take(events);
          await spool.acknowledge(manager.through);
        }
        await spool.acknowledge(manager.through);
        expect(manager.stored).toEqual(promised);
        expect([spool.backlog, spool.nextSeq]).toEqual([0, promised.length + 1]);
        await spool.close();
      }),
      { numRuns: 60 },
    );
  });
});
