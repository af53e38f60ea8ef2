import { describe, expect, it } from 'vitest';
import { MIGRATIONS } from '../../migrations/index.js';
import { stepsOnPostgres, stepsOnSqlite, type Migration } from './schema-steps.js';

/** Before the first release no older version runs beside a newer one: these are its beginning. */
const LAST_OF_FIRST_RELEASE = 'CreateIdempotency1763712910000';

/**
 * What migrations take away, by their name, each with the version that was the last to use it. A line here is
 * a promise to operators: no manager of that version runs any more when this one starts.
 */
const CONTRACTED: Readonly<
  Record<string, { readonly lastUsedIn: string; readonly breaks: string[] }>
> = {};

const all = MIGRATIONS.map((one): Migration => new one());
const later = all.slice(all.findIndex(({ name }) => name === LAST_OF_FIRST_RELEASE) + 1);
const allowed = Object.fromEntries(
  Object.entries(CONTRACTED).map(([name, { breaks }]) => [name, breaks]),
);
const only = (
  found: Record<string, string[]>,
  names: readonly Migration[],
): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(found).filter(([name]) => names.some((one) => one.name === name)),
  );

const planted = (name: string, ...texts: readonly string[]): Migration => ({
  name,
  up: async (runner: { query(text: string): Promise<unknown> }) => {
    for (const text of texts) await runner.query(text);
  },
});

const PLANTED: readonly (readonly [Migration, string | null])[] = [
  [planted('drops a table', 'DROP TABLE freezes'), 'freezes.created_at is gone'],
  [
    planted('drops a column', 'ALTER TABLE users DROP COLUMN factor_pending'),
    'users.factor_pending is gone',
  ],
  [
    planted('renames', 'ALTER TABLE commands RENAME COLUMN payload TO body'),
    'commands.payload is gone',
  ],
  [
    planted(
      'adds with a default',
      `ALTER TABLE releases ADD COLUMN notes text NOT NULL DEFAULT ''`,
    ),
    null,
  ],
  [
    planted('adds', 'ALTER TABLE releases ADD COLUMN more text', 'CREATE TABLE fresh (id text)'),
    null,
  ],
  [
    planted('allows less', 'CREATE UNIQUE INDEX releases_once ON releases (sequence)'),
    'releases_once is new on releases',
  ],
];

describe.each([
  ['SQLite', stepsOnSqlite],
  ['PostgreSQL', stepsOnPostgres],
])('migrations on %s', (_, stepsOn) => {
  it('leave to the version before all that it uses', async () => {
    expect(LAST_OF_FIRST_RELEASE).toBe(all.at(all.length - later.length - 1)?.name);
    expect(only(await stepsOn(all), later)).toEqual(allowed);
  });

  it('would be found out if they did not', async () => {
    for (const [migration, expected] of PLANTED) {
      const found = (await stepsOn([...all, migration]))[migration.name] ?? [];
      if (expected === null) expect([migration.name, found]).toEqual([migration.name, []]);
      else
        expect([migration.name, found]).toEqual([
          migration.name,
          expect.arrayContaining([expected]),
        ]);
    }
  }, 60_000);
});

it('on PostgreSQL a column that has to be given, or may no longer be empty, is found too', async () => {
  const more = planted('has to be given', 'ALTER TABLE releases ADD COLUMN notes text NOT NULL');
  const less = planted('not empty', 'ALTER TABLE releases ALTER COLUMN yank_reason SET NOT NULL');
  const link = planted(
    'links',
    'ALTER TABLE commands ADD CONSTRAINT of_node FOREIGN KEY (node_id) REFERENCES nodes (id)',
  );
  const found = await stepsOnPostgres([...all, more, less, link]);
  expect(only(found, [more, less, link])).toEqual({
    'has to be given': ['releases.notes is new and has to be given'],
    'not empty': ['releases.yank_reason may no longer be null'],
    links: ['of_node is new on commands'],
  });
}, 60_000);
