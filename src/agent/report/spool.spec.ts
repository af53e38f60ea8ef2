import {
  appendFileSync,
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
import { Spool, type SpoolEvent, type SpoolOptions } from './index.js';

let folder: string;
const opened: Spool[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-spool-'));
});
afterEach(async () => {
  for (const spool of opened.splice(0)) await spool.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openSpool(options: SpoolOptions = {}, where = folder): Promise<Spool> {
  const spool = await Spool.open(where, options);
  opened.push(spool);
  return spool;
}

const anEvent = (
  id: string,
  severity: SpoolEvent['severity'] = 'warning',
): { id: string; event: SpoolEvent } => ({
  id,
  event: {
    at: '2026-11-20T08:00:00.000Z',
    type: 'upgrade_started',
    category: 'upgrade',
    severity,
    service: 'edge',
    command_id: null,
    message: id,
    details: {},
  },
});

const messages = async (spool: Spool, after = spool.firstSeq - 1): Promise<string[]> =>
  (await spool.read(after, 10_000)).events.map((event) => event.message);

const segmentsIn = (where: string): string[] =>
  readdirSync(where)
    .filter((name) => name.endsWith('.log'))
    .sort();

describe('the spool', () => {
  it('numbers events from 1 without gaps, also when they are appended together', async () => {
    const spool = await openSpool();
    await Promise.all(['a', 'b', 'c'].map((id) => spool.append([anEvent(id), anEvent(`${id}2`)])));
    const { events } = await spool.read(0, 100);
    expect(events.map((event) => event.seq)).toEqual([1, 2, 3, 4, 5, 6]);
    expect([spool.firstSeq, spool.nextSeq, spool.backlog]).toEqual([1, 7, 6]);
  });

  it('has everything again after a restart, under the same id', async () => {
    const first = await openSpool();
    await first.append([anEvent('a'), anEvent('b')]);
    const second = await openSpool();
    expect(second.id).toBe(first.id);
    expect(second.recovered).toBeNull();
    expect(await messages(second)).toEqual(['a', 'b']);
  });

  it('drops an event that it has already, in one batch, later, and after a restart', async () => {
    const first = await openSpool();
    await first.append([anEvent('a'), anEvent('a')]);
    await first.append([anEvent('a')]);
    const second = await openSpool();
    await second.append([anEvent('a'), anEvent('b')]);
    expect(await messages(second)).toEqual(['a', 'b']);
  });

  it('still knows the id of an event that was acknowledged, after a restart', async () => {
    const first = await openSpool({ segmentBytesMax: 1_000 });
    for (let i = 0; i < 50; i += 1) await first.append([anEvent(`e${i}`)]);
    await first.acknowledge(50);
    const second = await openSpool({ segmentBytesMax: 1_000 });
    await second.append([anEvent('e49'), anEvent('e3')]);
    expect(second.nextSeq).toBe(51);
  });

  it('never gives a number twice, even when all is acknowledged', async () => {
    const first = await openSpool({ segmentBytesMax: 400 });
    for (let i = 0; i < 1_200; i += 1) void first.append([anEvent(`e${i}`)]);
    await first.append([anEvent('last')]);
    await first.acknowledge(1_201);
    expect([first.firstSeq, first.backlog]).toEqual([1_202, 0]);
    const second = await openSpool();
    expect(second.nextSeq).toBe(1_202);
  });

  it('removes acknowledged files whose ids are not needed any more', async () => {
    const spool = await openSpool({ segmentBytesMax: 2_000 });
    for (let i = 0; i < 300; i += 1) {
      await spool.append(Array.from({ length: 10 }, (_, k) => anEvent(`e${i}-${k}`)));
    }
    const before = segmentsIn(folder).length;
    await spool.acknowledge(3_000);
    expect(segmentsIn(folder).length).toBeLessThan(before / 2);
  });

  it('ignores acknowledgements that go back or name what was never sent', async () => {
    const spool = await openSpool();
    await spool.append([anEvent('a'), anEvent('b'), anEvent('c')]);
    await spool.acknowledge(2);
    await spool.acknowledge(1);
    await spool.acknowledge(4);
    expect(spool.firstSeq).toBe(3);
    expect(await messages(spool)).toEqual(['c']);
  });

  it('bounds a batch by count and by bytes, but always gives one event', async () => {
    const spool = await openSpool();
    await spool.append(['a', 'b', 'c', 'd'].map((id) => anEvent(id)));
    expect((await spool.read(1, 2)).events.map((event) => event.message)).toEqual(['b', 'c']);
    expect((await spool.read(0, 100, 1)).events).toHaveLength(1);
    expect((await spool.read(4, 100)).events).toEqual([]);
  });

  it('cuts a torn last line and goes on with its number', async () => {
    const first = await openSpool();
    await first.append([anEvent('a'), anEvent('b')]);
    appendFileSync(join(folder, segmentsIn(folder)[0] as string), 'deadbeef {"seq":3,"id":"c"');
    const second = await openSpool();
    expect(second.recovered).toBeNull();
    await second.append([anEvent('c')]);
    expect(await messages(second)).toEqual(['a', 'b', 'c']);
    expect(second.nextSeq).toBe(4);
  });

  it('saves every good line of a damaged file, sets it aside, and says so', async () => {
    const first = await openSpool();
    await first.append(['a', 'b', 'c', 'd'].map((id) => anEvent(id)));
    const path = join(folder, segmentsIn(folder)[0] as string);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"message":"b"', '"message":"X"'));
    const second = await openSpool();
    expect(second.recovered).toContain('3 events of it were saved');
    expect(await messages(second, 0)).toEqual(['a']);
    expect(await second.read(1, 100)).toEqual({ events: [], isGap: true });
    await second.acknowledge(1);
    expect(second.firstSeq).toBe(3);
    expect(await messages(second)).toEqual(['c', 'd']);
    expect(readdirSync(folder).some((name) => name.endsWith('.damaged'))).toBe(true);
    expect((await openSpool()).recovered).toBeNull();
  });

  it('keeps its id when only the file that holds it is damaged', async () => {
    const first = await openSpool();
    await first.append([anEvent('a')]);
    writeFileSync(join(folder, 'spool-id'), '\0\0\0\0');
    const second = await openSpool();
    expect(second.id).toBe(first.id);
    expect(second.recovered).toContain('id');
    expect(await messages(second)).toEqual(['a']);
  });

  it('takes another id when numbers that it gave are gone, so that none names two events', async () => {
    const first = await openSpool();
    await first.append([anEvent('a'), anEvent('b')]);
    const segment = join(folder, segmentsIn(folder)[0] as string);
    const content = readFileSync(segment, 'utf8');
    for (const rubbish of [Buffer.alloc(5_000, 7), content.replaceAll('edge', 'EDGE'), '']) {
      const before = await openSpool();
      if (rubbish === '') await before.acknowledge(before.nextSeq - 1);
      writeFileSync(join(folder, segmentsIn(folder)[0] as string), rubbish);
      const after = await openSpool();
      expect(after.id).not.toBe(before.id);
      expect(after.recovered).toContain('begun anew');
      await after.append([anEvent('c')]);
      expect((await after.read(0, 10)).events.map((event) => event.message)).toEqual(['c']);
    }
  });

  it('mends a last line that only lacks its newline', async () => {
    const first = await openSpool();
    await first.append([anEvent('a'), anEvent('b')]);
    const path = join(folder, segmentsIn(folder)[0] as string);
    writeFileSync(path, readFileSync(path).subarray(0, -1));
    const second = await openSpool();
    await second.append([anEvent('c')]);
    expect(second.id).toBe(first.id);
    expect(await messages(second, 0)).toEqual(['a', 'b', 'c']);
  });

  it('drops the oldest info events first when it is full, and tells the gap by firstSeq', async () => {
    const said: unknown[] = [];
    const spool = await openSpool({
      bytesMax: 6_000,
      segmentBytesMax: 1_000,
      log: (_message, fields) => said.push(fields),
    });
    for (let i = 1; i <= 60; i += 1) {
      await spool.append([anEvent(`e${i}`, i % 10 === 0 ? 'critical' : 'info')]);
    }
    expect(spool.dropped).toBeGreaterThan(0);
    expect(said.length).toBeGreaterThan(0);
    const held: string[] = [];
    while (spool.backlog > 0) {
      const { events } = await spool.read(spool.firstSeq - 1, 100);
      expect(events.length).toBeGreaterThan(0);
      held.push(...events.map((event) => event.message));
      await spool.acknowledge(events.at(-1)?.seq ?? 0);
    }
    expect(held).toEqual(expect.arrayContaining(['e10', 'e20', 'e30', 'e60']));
    expect(held).not.toContain('e1');
  });

  it('drops the oldest of all when there is no info left to drop', async () => {
    const spool = await openSpool({ bytesMax: 3_000, segmentBytesMax: 1_000 });
    for (let i = 1; i <= 60; i += 1) await spool.append([anEvent(`e${i}`, 'critical')]);
    expect(spool.firstSeq).toBeGreaterThan(1);
    expect((await messages(spool)).at(-1)).toBe('e60');
  });

  it('begins anew under another id and keeps what was not acknowledged', async () => {
    const first = await openSpool();
    const { id } = first;
    await first.append([anEvent('a'), anEvent('b'), anEvent('c')]);
    await first.acknowledge(1);
    await first.renew();
    expect(first.id).not.toBe(id);
    await first.append([anEvent('b'), anEvent('d')]);
    const second = await openSpool();
    expect(second.id).toBe(first.id);
    expect((await second.read(0, 10)).events.map((e) => [e.seq, e.message])).toEqual([
      [1, 'b'],
      [2, 'c'],
      [3, 'd'],
    ]);
  });

  it('rejects what cannot be written, keeps its numbers, and goes on when it can', async () => {
    const spool = await openSpool();
    await spool.append([anEvent('a')]);
    await spool.close();
    const segment = join(folder, segmentsIn(folder)[0] as string);
    const content = readFileSync(segment);
    rmSync(segment);
    await expect(spool.append([anEvent('b')])).rejects.toThrow('ENOENT');
    writeFileSync(segment, content);
    await spool.append([anEvent('b')]);
    expect(await messages(spool, 0)).toEqual(['a', 'b']);
  });

  it('never loses what was synced and not acknowledged, and never doubles, whatever is torn', async () => {
    const Step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('append'), n: fc.nat(5) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('ack'), n: fc.nat(30) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('again'), n: fc.nat(30) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('crash'), n: fc.nat(400) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(Step, { maxLength: 40 }), async (steps) => {
        const where = mkdtempSync(join(folder, 'run-'));
        const options = { segmentBytesMax: 700 };
        let spool = await Spool.open(where, options);
        const synced: string[] = [];
        let acked = 0;
        let made = 0;
        for (const step of steps) {
          if (step.do === 'append') {
            const ids = Array.from({ length: step.n }, () => `e${(made += 1)}`);
            await spool.append(ids.map((id) => anEvent(id)));
            synced.push(...ids);
          } else if (step.do === 'ack') {
            acked = Math.max(acked, Math.min(step.n, synced.length));
            await spool.acknowledge(acked);
          } else if (step.do === 'again') {
            await spool.append(synced.slice(-step.n - 1).map((id) => anEvent(id)));
          } else {
            // Power goes while a further line is written: any part of it may be there.
            await spool.close();
            const last = join(where, segmentsIn(where).at(-1) as string);
            const torn = `0badc0de {"seq":${spool.nextSeq},"id":"torn","event":{"message":"torn"}}`;
            appendFileSync(last, torn.slice(0, step.n % (torn.length + 1)));
            spool = await Spool.open(where, options);
            expect(spool.recovered).toBeNull();
          }
        }
        const { events, isGap } = await spool.read(acked, 10_000);
        expect(isGap).toBe(false);
        expect(events.map((event) => event.message)).toEqual(synced.slice(acked));
        expect(spool.nextSeq).toBe(synced.length + 1);
        await spool.close();
      }),
      { numRuns: 40 },
    );
  });
});
