import { afterEach, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../../test/support/databases.js';
import { eventually } from '../../../../test/support/fleet.js';
import {
  startHttpReceiver,
  type Asked,
  type HttpReceiver,
} from '../../../../test/support/receivers/http-receiver.js';
import { ann, startSinkBench, type SinkBench } from '../../../../test/support/sink-bench.js';

const ok = { status: 200 };
const messagesIn = ({ body }: Asked): string[] =>
  (JSON.parse(body) as { message: string }[]).map(({ message }) => message);
const upTo = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, index) => `${from + index}`);
/** Messages in the order in which they first came. */
const firsts = (messages: readonly string[]): string[] => [...new Set(messages)];

describeOnBothDatabases('delivery', (openTestDatabase) => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });
  const receive = async (...given: Parameters<typeof startHttpReceiver>): Promise<HttpReceiver> => {
    const receiver = await startHttpReceiver(...given);
    cleanUps.push(() => receiver.stop());
    return receiver;
  };
  const setUp = async (
    options: Parameters<typeof startSinkBench>[1] = {},
  ): Promise<SinkBench & { database: Awaited<ReturnType<typeof openTestDatabase>> }> => {
    const database = await openTestDatabase();
    const bench = startSinkBench(database, options);
    cleanUps.push(() => bench.stop());
    return { ...bench, database };
  };
  const caughtUp = (bench: SinkBench, id: string): Promise<void> =>
    eventually(async () => {
      expect(await bench.shown(id)).toMatchObject({ lag: { events: 0 }, state: 'waiting' });
    });

  it('brings everything in order, from the beginning when asked to', async () => {
    const bench = await setUp();
    await bench.addMany(1_200);
    const taken: string[] = [];
    const receiver = await receive((asked) => {
      taken.push(...messagesIn(asked));
      return ok;
    });
    const { id } = await bench.create({ config: { url: receiver.url }, from: 'beginning' });
    await bench.addMany(300, 1_201);
    await eventually(async () => expect(taken).toEqual(upTo(1_500)));
    await caughtUp(bench, id);
    expect(await bench.shown(id)).toMatchObject({
      delivered: 1_500,
      missed: 0,
      cursor: 1_500,
      health: 'delivers; nothing waits',
    });
  });

  it('moves on over what its filter does not want, and finds what it does', async () => {
    const bench = await setUp();
    await bench.addMany(30);
    const receiver = await receive(() => ok);
    const none = { types: ['node_superseded'], categories: null, error_codes: null };
    const { id } = await bench.create({
      config: { url: receiver.url },
      filter: { ...none, min_severity: null, groups: null },
      from: 'beginning',
    });
    await caughtUp(bench, id);
    expect(receiver.asked).toEqual([]);
    await bench.add({ type: 'node_superseded', message: 'now' });
    await eventually(async () => expect(receiver.asked.flatMap(messagesIn)).toEqual(['now']));
  });

  it('shows a sink of a group what is of that group and below it, whatever its filter names', async () => {
    const bench = await setUp();
    const { database, groups } = bench;
    const make = async (name: string, parentId: string): Promise<string> => {
      const parent = await groups.find(parentId);
      return (await database.transaction((tx) => groups.create(tx, name, parent!))).id;
    };
    const east = await make('east', 'grp_default');
    const berlin = await make('berlin', east);
    const west = await make('west', 'grp_default');
    const receiver = await receive(() => ok);
    const open = { categories: null, types: null, error_codes: null, min_severity: null };
    const make3 = [null, [berlin], [west]].map((wanted, index) =>
      bench.create({
        config: { url: `${receiver.url}/${index}` },
        group_id: east,
        filter: { ...open, groups: wanted },
      }),
    );
    const sinks = await Promise.all(make3);
    for (const groupId of [west, east, 'grp_default', berlin]) {
      await bench.add({ groupId, message: groupId });
    }
    for (const { id } of sinks) await caughtUp(bench, id);
    const at = (path: string): string[] =>
      receiver.asked.filter((asked) => asked.path === path).flatMap(messagesIn);
    expect([at('/0'), at('/1'), at('/2')]).toEqual([[east, berlin], [berlin], []]);
  });

  it('tries a receiver that fails again and again, without loss, and holds no other up', async () => {
    const bench = await setUp();
    let failures = 4;
    const taken: string[] = [];
    const bad = await receive((asked) => {
      if (failures > 0) {
        failures -= 1;
        return failures % 2 === 0 ? { status: 500 } : 'cut';
      }
      taken.push(...messagesIn(asked));
      return ok;
    });
    const good = await receive(() => ok);
    const never = await receive(() => 'hang');
    const failing = await bench.create({ name: 'bad', config: { url: bad.url } });
    await bench.create({ name: 'never', config: { url: never.url } });
    const well = await bench.create({ name: 'good', config: { url: good.url } });
    await bench.addMany(10);
    await caughtUp(bench, well.id);
    expect(good.asked.flatMap(messagesIn)).toEqual(upTo(10));
    await eventually(async () => {
      const shown = await bench.shown(failing.id);
      expect(shown.circuit.failures).toBeGreaterThanOrEqual(3);
      expect(shown).toMatchObject({ state: 'failing', circuit: { state: 'open' } });
      expect(shown.health).toMatch(/tried/);
    });
    await eventually(async () => expect(firsts(taken)).toEqual(upTo(10)));
    await caughtUp(bench, failing.id);
    expect(await bench.shown(failing.id)).toMatchObject({
      circuit: { state: 'closed', failures: 0, last_error: null },
    });
  });

  it('waits as long as the receiver asks, and not one failure less', async () => {
    const bench = await setUp();
    const receiver = await receive(() => ({ status: 429, headers: { 'retry-after': '1200' } }));
    const { id } = await bench.create({ config: { url: receiver.url } });
    await bench.addMany(1);
    await eventually(async () => {
      const { circuit } = (await bench.record(id)).place;
      expect(circuit.nextTryAt - bench.clock.now()).toBeGreaterThan(1_100_000);
    });
    expect(receiver.asked).toHaveLength(1);
    expect((await bench.shown(id)).circuit.last_error?.code).toBe('sink_receiver_busy');
    receiver.behave(() => ok);
    await bench.sinks.resume(id, ann);
    await caughtUp(bench, id);
  });

  it('finds the one event that is not taken, lays it aside, and replays it when asked to', async () => {
    const bench = await setUp();
    let isPoison = true;
    const taken: string[] = [];
    const receiver = await receive((asked) => {
      const messages = messagesIn(asked);
      if (isPoison && messages.some((message) => message.endsWith('7'))) return { status: 400 };
      taken.push(...messages);
      return ok;
    });
    const { id } = await bench.create({ config: { url: receiver.url } });
    await bench.addMany(20);
    await caughtUp(bench, id);
    expect(taken).toEqual(upTo(20).filter((message) => !message.endsWith('7')));
    expect(await bench.shown(id)).toMatchObject({ dead_letters: 2, delivered: 18 });
    expect((await bench.shown(id)).circuit.failures).toBe(0);
    // Asked for while it is still refused: it comes back, with one more try.
    await bench.sinks.replay(id, [7], ann);
    await eventually(async () => {
      const rows = await bench.database.read.all(
        'SELECT event_id, tries, is_wanted FROM sink_dead_letters ORDER BY event_id',
      );
      expect(rows).toEqual([
        { event_id: 7, tries: 4, is_wanted: 0 },
        { event_id: 17, tries: 3, is_wanted: 0 },
      ]);
    });
    isPoison = false;
    expect(await bench.sinks.replay(id, null, ann)).toBe(2);
    await eventually(async () => expect((await bench.shown(id)).dead_letters).toBe(0));
    expect(taken.slice(-2)).toEqual(['7', '17']);
    expect((await bench.shown(id)).delivered).toBe(20);
  });

  it('takes a receiver that refuses everything for broken, and keeps the events', async () => {
    const bench = await setUp();
    const receiver = await receive(() => ({ status: 400 }));
    const { id } = await bench.create({ config: { url: receiver.url, batch_max: 1 } });
    await bench.addMany(60);
    await eventually(async () => {
      expect((await bench.shown(id)).circuit.failures).toBeGreaterThanOrEqual(1);
    }, 60_000);
    const shown = await bench.shown(id);
    expect(shown.dead_letters).toBeLessThan(60);
    expect(shown.dead_letters % 20).toBe(0);
    await bench.sinks.pause(id, ann);
    expect(await bench.sinks.discard(id, null, ann)).toBeGreaterThanOrEqual(20);
    expect((await bench.shown(id)).dead_letters).toBe(0);
  });

  it('never follows a redirect', async () => {
    const bench = await setUp();
    const target = await receive(() => ok);
    const receiver = await receive(() => ({ status: 307, headers: { location: target.url } }));
    const { id } = await bench.create({ config: { url: receiver.url } });
    await bench.addMany(1);
    await eventually(async () => {
      expect((await bench.shown(id)).circuit.last_error?.code).toBe('sink_redirected');
    });
    expect(target.asked).toEqual([]);
  });

  it('reads an endless answer no further than it must', async () => {
    const bench = await setUp();
    const huge = 'x'.repeat(6 * 1024 * 1024);
    const receiver = await receive(() => ({ status: 200, body: huge }));
    const { id } = await bench.create({ config: { url: receiver.url } });
    await bench.addMany(2);
    await caughtUp(bench, id);
    const tested = await bench.sinks.test(id, ann);
    expect(tested.ok).toBe(true);
    expect(tested.message.length).toBeLessThanOrEqual(200);
  });

  it('stands still while paused, and begins anew where it is told to', async () => {
    const bench = await setUp();
    const receiver = await receive(() => ok);
    const { id } = await bench.create({ config: { url: receiver.url } });
    await bench.addMany(3);
    await caughtUp(bench, id);
    await bench.sinks.pause(id, ann);
    await bench.addMany(3, 4);
    await expect(bench.shown(id)).resolves.toMatchObject({ state: 'paused', lag: { events: 3 } });
    await bench.sinks.resume(id, ann);
    await caughtUp(bench, id);
    expect(receiver.asked.flatMap(messagesIn)).toEqual(upTo(6));
    await bench.sinks.backfill(id, { after: 4 }, ann);
    await eventually(async () =>
      expect(receiver.asked.flatMap(messagesIn)).toEqual([...upTo(6), '5', '6']),
    );
  });

  it('backfills from a moment', async () => {
    const bench = await setUp({ idle: true });
    for (const [index, minutes] of [0, 60, 120, 180].entries()) {
      const at = Date.UTC(2026, 10, 1) + minutes * 60_000;
      await bench.add({ at, message: `${2 * index}` }, { at: at + 1, message: `${2 * index + 1}` });
    }
    const before = (minutes: number): Promise<number> =>
      bench.source.before(Date.UTC(2026, 10, 1) + minutes * 60_000);
    expect(await Promise.all([-1, 0, 1, 60, 61, 180, 181].map(before))).toEqual([
      ...[0, 0, 2, 2, 4, 6, 8],
    ]);
  });

  it('counts what retention took away before it could be delivered', async () => {
    const bench = await setUp();
    const receiver = await receive(() => ok);
    const { id } = await bench.create({ config: { url: receiver.url } });
    await bench.sinks.pause(id, ann);
    await bench.addMany(10);
    await bench.database.transaction((tx) => tx.run('DELETE FROM events WHERE id <= 4'));
    await bench.sinks.resume(id, ann);
    await caughtUp(bench, id);
    expect(receiver.asked.flatMap(messagesIn)).toEqual(upTo(6, 5));
    expect(await bench.shown(id)).toMatchObject({ missed: 4, delivered: 6 });
  });

  it('of two managers one delivers, and each event once', async () => {
    const database = await openTestDatabase();
    const first = startSinkBench(database);
    const second = startSinkBench(database, { dataDir: first.dataDir });
    cleanUps.push(
      () => first.stop(),
      () => second.stop(),
    );
    const receiver = await receive(() => ok);
    const { id } = await first.create({ config: { url: receiver.url, batch_max: 10 } });
    for (let round = 0; round < 10; round += 1) {
      await first.addMany(15, 30 * round + 1);
      await second.addMany(15, 30 * round + 16);
    }
    await caughtUp(first, id);
    expect(receiver.asked.flatMap(messagesIn)).toEqual(upTo(300));
  });

  it('lays aside what is too large for the receiver', async () => {
    const bench = await setUp();
    const { id } = await bench.create({
      kind: 'syslog',
      config: { host: '127.0.0.1', port: 9, transport: 'udp', message_bytes_max: 480 },
    });
    await bench.add({ message: 'x'.repeat(600) });
    await eventually(async () => expect((await bench.shown(id)).dead_letters).toBe(1));
    expect(await bench.shown(id)).toMatchObject({ lag: { events: 0 }, circuit: { failures: 0 } });
  });

  it('keeps credentials sealed, and says when it cannot open them', async () => {
    const bench = await setUp();
    const secret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;
    const receiver = await receive(() => ok);
    const { id } = await bench.create({
      config: { url: receiver.url },
      credentials: { secret, authorization: 'Bearer of-somebody' },
    });
    const rows = JSON.stringify(await bench.database.read.all('SELECT * FROM sinks'));
    expect(rows).not.toContain(secret.slice(6, 30));
    expect(rows).not.toContain('of-somebody');
    const audit = JSON.stringify(await bench.database.read.all('SELECT * FROM audit_entries'));
    expect(audit).not.toContain(secret.slice(6, 30));
    expect((await bench.shown(id)).credentials).toEqual(['authorization', 'secret']);
    // A sealed text that is moved to another sink opens nothing there.
    const other = await bench.create({ config: { url: receiver.url } });
    await bench.database.transaction((tx) =>
      tx.run(
        'UPDATE sinks SET credentials = (SELECT credentials FROM sinks WHERE id = ?) WHERE id = ?',
        [id, other.id],
      ),
    );
    await eventually(async () => {
      // A run that was under way at that moment ends with what it began with; the next one reads anew.
      await bench.addMany(1);
      const { last_error: error } = (await bench.shown(other.id)).circuit;
      expect(error?.code).toBe('secret_unreadable');
    });
    await caughtUp(bench, id);
  });
});
