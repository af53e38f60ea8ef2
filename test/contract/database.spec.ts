import { expect, it } from 'vitest';
import type { Database } from '../../src/server/platform/database/index.js';
import { describeOnBothDatabases } from '../support/databases.js';

async function withTable(database: Database): Promise<Database> {
  const bytes = database.kind === 'sqlite' ? 'blob' : 'bytea';
  await database.transaction(async (tx) => {
    await tx.run(`CREATE TABLE things (id text PRIMARY KEY, amount bigint, raw ${bytes})`);
    await tx.run('INSERT INTO things (id, amount) VALUES (?, ?)', ['counter', 0]);
  });
  return database;
}

const amountOf = async (database: Database, id = 'counter'): Promise<number | undefined> =>
  (await database.read.get<{ amount: number }>('SELECT amount FROM things WHERE id = ?', [id]))
    ?.amount;

describeOnBothDatabases('a database', (openTestDatabase) => {
  it('keeps what a transaction did and gives back what its work gave', async () => {
    const database = await withTable(await openTestDatabase());
    const result = await database.transaction(async (tx) => {
      expect(await tx.run('UPDATE things SET amount = ? WHERE id = ?', [7, 'counter'])).toBe(1);
      return 'done';
    });
    expect(result).toBe('done');
    expect(await amountOf(database)).toBe(7);
  });

  it('takes a text with a NUL, whatever a node wrote', async () => {
    const database = await withTable(await openTestDatabase());
    await database.transaction((tx) =>
      tx.run('INSERT INTO things (id, amount) VALUES (?, ?)', ['a\u0000b', 3]),
    );
    expect(await amountOf(database, 'a\u0000b')).toBe(3);
  });

  it('undoes everything when the work throws, and throws the same error', async () => {
    const database = await withTable(await openTestDatabase());
    const cause = new Error('no');
    const work = database.transaction(async (tx) => {
      await tx.run('UPDATE things SET amount = 9');
      throw cause;
    });
    await expect(work).rejects.toBe(cause);
    expect(await amountOf(database)).toBe(0);
  });

  it('goes on after a transaction that failed', async () => {
    const database = await withTable(await openTestDatabase());
    await expect(
      database.transaction((tx) => tx.run('INSERT INTO nowhere VALUES (1)')),
    ).rejects.toThrow();
    await database.transaction((tx) => tx.run('UPDATE things SET amount = 1'));
    expect(await amountOf(database)).toBe(1);
  });

  it('is doomed by a failed statement, even when the work swallows the error', async () => {
    const database = await withTable(await openTestDatabase());
    const work = database.transaction(async (tx) => {
      await tx.run('UPDATE things SET amount = 5');
      await tx.run('INSERT INTO things (id) VALUES (?)', ['counter']).catch(() => undefined);
    });
    await expect(work).rejects.toThrow(/unique/i);
    expect(await amountOf(database)).toBe(0);
  });

  it('runs statements of a transaction in the order of the calls, whether their answers are waited for or not', async () => {
    const database = await withTable(await openTestDatabase());
    const counts = await database.transaction(async (tx) => {
      const add = (id: string) => tx.run('INSERT INTO things (id, amount) VALUES (?, 1)', [id]);
      const count = async () =>
        (await tx.get<{ n: number }>('SELECT CAST(COUNT(*) AS integer) AS n FROM things'))?.n;
      const [before, , one, , two] = await Promise.all([
        count(),
        add('a'),
        count(),
        tx.insertRows('things (id, amount)', [['b', 1]]),
        count(),
      ]);
      return [before, one, two];
    });
    expect(counts).toEqual([1, 2, 3]);
  });

  it('is doomed by one of many statements that are sent at once, and throws what that one did', async () => {
    const database = await withTable(await openTestDatabase());
    const work = database.transaction((tx) =>
      Promise.all(
        ['a', 'counter', 'b', 'c'].map((id) =>
          tx.run('INSERT INTO things (id, amount) VALUES (?, 1)', [id]),
        ),
      ),
    );
    await expect(work).rejects.toThrow(/unique/i);
    const rows = await database.read.all<{ id: string }>('SELECT id FROM things');
    expect(rows.map(({ id }) => id)).toEqual(['counter']);
    await database.transaction((tx) => tx.run('UPDATE things SET amount = 1'));
    expect(await amountOf(database)).toBe(1);
  });

  it('never shows uncommitted rows to `read`', async () => {
    const database = await withTable(await openTestDatabase());
    await database.transaction(async (tx) => {
      await tx.run('UPDATE things SET amount = 5');
      expect(await tx.get('SELECT amount FROM things')).toEqual({ amount: 5 });
      expect(await amountOf(database)).toBe(0);
    });
    expect(await amountOf(database)).toBe(5);
  });

  it('lets nobody write through `read` on SQLite', async () => {
    const database = await withTable(await openTestDatabase());
    if (database.kind === 'postgres') return;
    await expect(database.read.run('UPDATE things SET amount = 1')).rejects.toThrow();
    expect(await amountOf(database)).toBe(0);
  });

  it('runs what waits for the commit in order, once a key, lower ranks first', async () => {
    const database = await withTable(await openTestDatabase());
    const order: string[] = [];
    const [first, second, third] = [{}, {}, {}];
    await database.transaction(async (tx) => {
      const note = (text: string) => async () => void order.push(text);
      tx.beforeCommit(first, note('late'), 1);
      tx.beforeCommit(second, async () => {
        order.push('second');
        await tx.run('UPDATE things SET amount = 3');
        tx.beforeCommit(second, note('second again'));
      });
      tx.beforeCommit(second, note('never'));
      tx.beforeCommit(third, note('third'));
      order.push('work');
    });
    expect(order).toEqual(['work', 'second', 'third', 'second again', 'late']);
    expect(await amountOf(database)).toBe(3);
  });

  it('rolls back when what waits for the commit throws', async () => {
    const database = await withTable(await openTestDatabase());
    const work = database.transaction(async (tx) => {
      await tx.run('UPDATE things SET amount = 3');
      tx.beforeCommit({}, () => Promise.reject(new Error('not now')));
    });
    await expect(work).rejects.toThrow('not now');
    expect(await amountOf(database)).toBe(0);
  });

  it('undoes everything when the COMMIT itself fails', async () => {
    const database = await withTable(await openTestDatabase());
    await database.transaction((tx) =>
      tx.run(
        `CREATE TABLE parts (id text PRIMARY KEY,
           thing text REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED)`,
      ),
    );
    const effects: string[] = [];
    const work = database.transaction(async (tx) => {
      tx.afterCommit(() => effects.push('sent'));
      await tx.run('UPDATE things SET amount = 3');
      await tx.run(`INSERT INTO parts VALUES ('p', 'nothing')`);
    });
    await expect(work).rejects.toThrow(/foreign key/i);
    expect(await amountOf(database)).toBe(0);
    expect(effects).toEqual([]);
    await database.transaction((tx) => tx.run('UPDATE things SET amount = 1'));
    expect(await amountOf(database)).toBe(1);
  });

  it('says that it is unavailable when it cannot write, and goes on when it can again', async () => {
    const database = await withTable(await openTestDatabase());
    const work = database.transaction(async (tx) => {
      if (database.kind === 'sqlite') {
        // A full disk, as SQLite sees it.
        await tx.all('PRAGMA max_page_count = 1');
        await tx.run('CREATE TABLE filler (body text)');
        await tx.run('INSERT INTO filler VALUES (?)', ['x'.repeat(10_000_000)]);
      } else {
        await tx.all('SELECT pg_terminate_backend(pg_backend_pid())');
      }
    });
    await expect(work).rejects.toMatchObject({ code: 'unavailable', kind: 'operational' });
    await database.transaction(async (tx) => {
      if (database.kind === 'sqlite') await tx.all('PRAGMA max_page_count = 1000000');
      await tx.run('UPDATE things SET amount = 2');
    });
    expect(await amountOf(database)).toBe(2);
  });

  it('has effects after a commit that succeeded, and only then', async () => {
    const database = await withTable(await openTestDatabase());
    const seen: (number | undefined)[] = [];
    let reading: Promise<void> = Promise.resolve();
    await database.transaction(async (tx) => {
      tx.afterCommit(() => {
        reading = amountOf(database).then((amount) => void seen.push(amount));
      });
      tx.afterCommit(() => {
        throw new Error('an effect that fails hurts nobody');
      });
      await tx.run('UPDATE things SET amount = 4');
    });
    await reading;
    expect(seen).toEqual([4]);
    await expect(
      database.transaction(async (tx) => {
        tx.afterCommit(() => seen.push(99));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(seen).toEqual([4]);
  });

  it('counts right when fifty transactions meet on one row', async () => {
    const database = await withTable(await openTestDatabase());
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        database.transaction(async (tx) => {
          const row = await tx.get<{ amount: number }>(
            'UPDATE things SET amount = amount + 1 WHERE id = ? RETURNING amount',
            ['counter'],
          );
          await tx.run('INSERT INTO things (id, amount) VALUES (?, ?)', [
            `n${index}`,
            row?.amount ?? -1,
          ]);
        }),
      ),
    );
    const rows = await database.read.all<{ amount: number }>(
      `SELECT amount FROM things WHERE id <> 'counter' ORDER BY amount`,
    );
    expect(rows.map((row) => row.amount)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it('runs two transactions that lock the same rows in opposite order', async () => {
    const database = await withTable(await openTestDatabase());
    await database.transaction((tx) => tx.run(`INSERT INTO things VALUES ('other', 0, NULL)`));
    const add = (first: string, second: string): Promise<void> =>
      database.transaction(async (tx) => {
        await tx.run('UPDATE things SET amount = amount + 1 WHERE id = ?', [first]);
        await new Promise((resolve) => setTimeout(resolve, 20));
        await tx.run('UPDATE things SET amount = amount + 1 WHERE id = ?', [second]);
      });
    await Promise.all([add('counter', 'other'), add('other', 'counter')]);
    expect([await amountOf(database), await amountOf(database, 'other')]).toEqual([2, 2]);
  });

  it('gives bytes as they were and big integers as numbers', async () => {
    const database = await withTable(await openTestDatabase());
    const raw = new Uint8Array([0, 255, 39, 0, 128]);
    const amount = 1_795_219_200_123;
    await database.transaction((tx) =>
      tx.run('INSERT INTO things (id, amount, raw) VALUES (?, ?, ?)', ['b', amount, raw]),
    );
    const row = await database.read.get<{ amount: number; raw: Uint8Array; total: number }>(
      `SELECT amount, raw, (SELECT SUM(amount) FROM things) AS total FROM things WHERE id = ?`,
      ['b'],
    );
    expect(row?.amount).toBe(amount);
    expect(row?.total).toBe(amount);
    expect([...(row?.raw ?? [])]).toEqual([...raw]);
    const count = await database.read.get('SELECT COUNT(*) AS n FROM things');
    expect(count).toEqual({ n: 2 });
  });

  it('takes many placeholders, in order, and texts that look like SQL', async () => {
    const database = await withTable(await openTestDatabase());
    const ids = Array.from({ length: 12 }, (_, index) => `'; -- $${index} ?`);
    await database.transaction(async (tx) => {
      const marks = ids.map(() => '(?, ?)').join(', ');
      const params = ids.flatMap((id, index) => [id, index]);
      expect(await tx.run(`INSERT INTO things (id, amount) VALUES ${marks}`, params)).toBe(12);
    });
    for (const [index, id] of ids.entries()) expect(await amountOf(database, id)).toBe(index);
    expect(await amountOf(database, 'none')).toBeUndefined();
  });

  it('takes many rows at once, in whatever runs the same values come', async () => {
    const database = await openTestDatabase();
    await database.transaction(async (tx) => {
      await tx.run(
        'CREATE TABLE told (id bigint PRIMARY KEY, kind text, at bigint, code text, word text)',
      );
    });
    // Runs of 1 to 60 rows that are alike in two columns, of which one is sometimes null.
    const rows: [number, string, number, string | null, string][] = [];
    for (const [run, length] of [1, 60, 4, 5, 6, 19, 20, 21, 1, 1, 40, 2].entries()) {
      for (let at = 0; at < length; at += 1) {
        const id = rows.length + 1;
        rows.push([id, `kind ${run}`, id * 3, run % 3 === 0 ? null : `code ${run}`, `word ${id}`]);
      }
    }
    const table = 'told (id, kind, at, code, word)';
    for (const alike of [[1, 3], [], undefined, [0, 1, 2, 3, 4]]) {
      await database.transaction(async (tx) => {
        await tx.run('DELETE FROM told');
        await tx.insertRows(table, [], alike);
        await tx.insertRows(table, rows, alike);
      });
      const found = await database.read.all<Record<string, unknown>>(
        'SELECT id, kind, at, code, word FROM told ORDER BY id',
      );
      expect(found.map(Object.values)).toEqual(rows);
    }
    const twice = database.transaction((tx) => tx.insertRows(table, rows.slice(0, 20), [1, 3]));
    await expect(twice).rejects.toThrow();
  });

  it('says how many rows changed, also with RETURNING', async () => {
    const database = await withTable(await openTestDatabase());
    await database.transaction(async (tx) => {
      const nobody = await tx.run('UPDATE things SET amount = 1 WHERE id = ?', ['x']);
      const one = await tx.run('UPDATE things SET amount = 1 RETURNING id');
      const none = await tx.run('INSERT INTO things (id) VALUES (?) ON CONFLICT DO NOTHING', [
        'counter',
      ]);
      expect([nobody, one, none]).toEqual([0, 1, 0]);
    });
  });

  it('enforces foreign keys', async () => {
    const database = await openTestDatabase();
    const work = database.transaction((tx) =>
      tx.run(
        `INSERT INTO node_groups (id, name, parent_id, path, created_at)
         VALUES ('grp_x', 'x', 'grp_nowhere', '/', 0)`,
      ),
    );
    await expect(work).rejects.toThrow(/foreign key/i);
  });

  it('refuses a transaction inside a transaction instead of waiting for ever', async () => {
    const database = await withTable(await openTestDatabase());
    const work = database.transaction(() => database.transaction(() => Promise.resolve(1)));
    await expect(work).rejects.toThrow('a transaction inside a transaction');
  });

  it('refuses a handle whose transaction has ended', async () => {
    const database = await withTable(await openTestDatabase());
    const kept = await database.transaction((tx) => Promise.resolve(tx));
    await expect(kept.run('UPDATE things SET amount = 1')).rejects.toThrow('has ended');
    expect(() => {
      kept.afterCommit(() => undefined);
    }).toThrow('has ended');
    expect(await amountOf(database)).toBe(0);
  });

  it('lets running transactions finish when it is closed, and refuses new ones', async () => {
    const database = await withTable(await openTestDatabase());
    let committed = false;
    const running = database.transaction(async (tx) => {
      tx.afterCommit(() => {
        committed = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
      await tx.run('UPDATE things SET amount = 1');
    });
    await Promise.all([running, database.close(), database.close()]);
    expect(committed).toBe(true);
    await expect(database.transaction(() => Promise.resolve())).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});
