import { expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../../test/support/databases.js';
import { JointCommits } from './joint-commits.js';

describeOnBothDatabases('works that share commits', (open, kind) => {
  const openTable = async () => {
    const database = await open();
    await database.transaction((tx) => tx.run('CREATE TABLE said (word text)'));
    return { database, together: new JointCommits(database) };
  };
  type Opened = Awaited<ReturnType<typeof openTable>>;
  const say = ({ together }: Opened, word: string, after: () => void = () => undefined) =>
    together.transaction(async (tx) => {
      tx.afterCommit(after);
      await tx.run('INSERT INTO said (word) VALUES (?)', [word]);
      const row = await tx.get<{ n: number }>('SELECT COUNT(*) AS n FROM said');
      return Number(row?.n);
    });
  const words = async ({ database }: Opened): Promise<string[]> =>
    (await database.read.all<{ word: string }>('SELECT word FROM said ORDER BY word')).map(
      ({ word }) => word,
    );

  it('each get their own answer, after the commit', async () => {
    const opened = await openTable();
    const asked = Array.from({ length: 200 }, (_, at) => say(opened, `w${at + 100}`));
    const counts = await Promise.all(asked);
    expect(await words(opened)).toHaveLength(200);
    if (kind === 'sqlite') expect(counts).toEqual(counts.map((_, at) => at + 1));
  });

  it('do not suffer from one that throws, and do nothing twice', async () => {
    const opened = await openTable();
    const effects: string[] = [];
    const all = await Promise.allSettled([
      say(opened, 'a', () => effects.push('a')),
      opened.together.transaction(async (tx) => {
        await tx.run('INSERT INTO said (word) VALUES (?)', ['never']);
        throw new Error('changed its mind');
      }),
      say(opened, 'b', () => effects.push('b')),
    ]);
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await words(opened)).toEqual(['a', 'b']);
    expect(effects.sort()).toEqual(['a', 'b']);
  });

  it('share one commit where each would wait for the disk', async () => {
    const opened = await openTable();
    const { database } = opened;
    let transactions = 0;
    const transaction = database.transaction.bind(database);
    database.transaction = (work) => {
      transactions += 1;
      return transaction(work);
    };
    await Promise.all(['a', 'b', 'c', 'd'].map((word) => say(opened, word)));
    expect(transactions).toBe(kind === 'sqlite' ? 1 : 4);
  });

  it('share one commit on every database when they name the row that they lock', async () => {
    const { database, together } = await openTable();
    let transactions = 0;
    const transaction = database.transaction.bind(database);
    database.transaction = (work) => {
      transactions += 1;
      return transaction(work);
    };
    const add = (row: string) =>
      together.transaction((tx) => tx.run('INSERT INTO said (word) VALUES (?)', [row]), {
        line: row,
      });
    await Promise.all(['a', 'b', 'a', 'b', 'a'].map(add));
    // Those of another row are not held up.
    expect(transactions).toBe(kind === 'sqlite' ? 1 : 2);
    await add('a');
    expect(transactions).toBe(kind === 'sqlite' ? 2 : 3);
  });

  it('lock rows in one order, so that two processes with the same rows do not wait for each other', async () => {
    const { database, together } = await openTable();
    const rows = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const row of rows) {
      await database.transaction((tx) => tx.run('INSERT INTO said (word) VALUES (?)', [row]));
    }
    const other = new JointCommits(database);
    const touch = (line: JointCommits, ran: string[]) => (row: string, at: number) =>
      line.transaction(
        async (tx) => {
          ran.push(`${row}${at}`);
          await tx.run('UPDATE said SET word = word WHERE word = ?', [row]);
        },
        { line: 'words', row },
      );
    const [twice, back]: [string[], string[]] = [[], []];
    await Promise.all([
      ...[...rows, ...rows].map(touch(together, twice)),
      ...rows.toReversed().map(touch(other, back)),
    ]);
    const calledFirst = ['a0', 'b1', 'c2', 'd3', 'e4', 'f5'];
    const calledLast = ['a6', 'b7', 'c8', 'd9', 'e10', 'f11'];
    if (kind === 'sqlite') {
      expect(twice).toEqual([...calledFirst, ...calledLast]);
      return;
    }
    expect(twice).toEqual(calledFirst.flatMap((one, at) => [one, calledLast[at]]));
    expect(back).toEqual(['a5', 'b4', 'c3', 'd2', 'e1', 'f0']);
  });

  it('go on after the database was closed: each is refused', async () => {
    const opened = await openTable();
    await opened.database.close();
    const all = await Promise.allSettled([say(opened, 'a'), say(opened, 'b')]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(say(opened, 'c')).rejects.toThrow('closed');
  });
});
