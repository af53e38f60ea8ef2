import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  makePostgresDatabase,
  makeTempDir,
  queryOn,
  silentLog,
} from '../../../test/support/databases.js';
import { callRoute, makeClock } from '../../../test/support/manager.js';
import { startManager } from '../manager.js';
import { loadConfig, openDatabase } from '../platform/index.js';
import { backUp, checkBackup, moveToPostgres, restore } from './commands.js';

type Kind = 'sqlite' | 'postgres';
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const quiet = { write: (): void => undefined };

function aDir(): string {
  const dir = makeTempDir();
  cleanUps.push(() => dir.remove());
  return dir.path;
}

/** An installation: where it keeps what it has, and how it is started. */
async function anInstallation(kind: Kind) {
  const dataDir = join(aDir(), 'data');
  const env: Record<string, string> = { BELLWETHER_DATA_DIR: dataDir, BELLWETHER_PORT: '0' };
  if (kind === 'postgres') {
    const made = await makePostgresDatabase();
    cleanUps.push(() => made.drop());
    env['DATABASE_URL'] = made.url;
  }
  const world = { config: loadConfig(env), now: () => Date.now(), output: quiet };
  const start = async () => {
    const manager = await startManager({
      config: world.config,
      log: silentLog,
      clock: makeClock(),
    });
    cleanUps.push(() => manager.stop());
    return manager;
  };
  return { dataDir, env, world, start };
}

type Ask = (name: string, given?: object) => Promise<Record<string, unknown>>;

const askerOf =
  (url: string, token: string | null): Ask =>
  async (name, given = {}) =>
    (await callRoute(url, name as 'nodes.list', given, token)).body;

/** Starts a new installation and does some of everything that rows say of each other. */
async function used(kind: Kind) {
  const made = await anInstallation(kind);
  const manager = await made.start();
  const body = { setup_token: manager.setupToken ?? '', name: 'änn 🐑' };
  const setup = await askerOf(manager.config.publicUrl, null)('setup.finish', { body });
  const admin = String(setup['secret']);
  const ask = askerOf(manager.config.publicUrl, admin);
  // A child whose id may come before that of its parent.
  let parent = 'grp_default';
  for (const name of ['west', 'paris', 'rack']) {
    parent = String((await ask('groups.create', { body: { name, parent_id: parent } }))['id']);
  }
  await ask('audit.checkpoint');
  await ask('groups.create', { body: { name: 'behind the checkpoint', parent_id: parent } });
  return { ...made, manager, admin, ask };
}

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => String((error as { code?: string }).code),
  );

describe.each([
  ['sqlite', 'sqlite'],
  ['postgres', 'postgres'],
  ['sqlite', 'postgres'],
  ['postgres', 'sqlite'],
] as const)('a backup of %s', (from, to) => {
  it(`made while the manager runs is restored on ${to}`, async () => {
    const old = await used(from);
    const folder = join(aDir(), 'backup');
    const made = await backUp(old.world, folder, { withMasterKey: true });
    expect(made).toMatchObject({ leftOut: [], missing: [] });
    const groups = await old.ask('groups.list');
    const key = await old.ask('audit.key');
    await old.ask('groups.create', { body: { name: 'after it' } });
    await old.manager.stop();

    expect((await checkBackup(old.world, folder)).rows).toBe(made.rows);
    const next = await anInstallation(to);
    const done = await restore(next.world, folder);
    expect(done).toMatchObject({ rows: made.rows, log: { checkpoints: 1 } });
    const manager = await next.start();
    expect(manager.setupToken).toBeNull();
    const ask = askerOf(manager.config.publicUrl, old.admin);
    expect((await ask('groups.list'))['items']).toEqual(groups['items']);
    expect(await ask('audit.key')).toEqual(key);
    // It goes on: the next number is the next number.
    const audit = (await ask('audit.list'))['items'] as { id: number }[];
    expect((await ask('groups.create', { body: { name: 'later' } }))['id']).toMatch(/^grp_/);
    const later = (await ask('audit.list'))['items'] as { id: number }[];
    expect(later[0]?.id).toBe((audit[0]?.id ?? 0) + 1);
  }, 180_000);
});

describe('a backup', () => {
  it('is for its owner alone, whole, and overwrites nothing', async () => {
    const old = await used('sqlite');
    const folder = join(aDir(), 'backup');
    await backUp(old.world, folder, { withMasterKey: true });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    expect(files.length).toBeGreaterThan(30);
    for (const file of files) {
      expect(statSync(join(file.parentPath, file.name)).mode & 0o777).toBe(0o600);
    }
    expect(await codeOf(backUp(old.world, folder, { withMasterKey: true }))).toBe(
      'target_not_empty',
    );
    expect(existsSync(`${folder}.partial`)).toBe(false);
    // What a killed run left is no hindrance; what somebody else put there is.
    mkdirSync(join(`${folder}-2.partial`, 'tables'), { recursive: true });
    await backUp(old.world, `${folder}-2`, { withMasterKey: false });
    expect(existsSync(join(`${folder}-2`, 'data', 'master.key'))).toBe(false);
    mkdirSync(join(`${folder}-3.partial`, 'photos'), { recursive: true });
    expect(await codeOf(backUp(old.world, `${folder}-3`, { withMasterKey: true }))).toBe(
      'target_not_empty',
    );
    expect(existsSync(join(`${folder}-3.partial`, 'photos'))).toBe(true);
  }, 120_000);

  it('is refused when a byte of it is not what was written, and nothing is left then', async () => {
    const old = await used('sqlite');
    const folder = join(aDir(), 'backup');
    await backUp(old.world, folder, { withMasterKey: true });
    await old.manager.stop();
    const ways: Readonly<Record<string, () => void>> = {
      'tables/audit_entries.ndjson.zst': () => undefined,
      'tables/node_groups.ndjson.zst': () => undefined,
      'data/master.key': () => undefined,
      'manifest.json': () => undefined,
    };
    for (const name of Object.keys(ways)) {
      const path = join(folder, name);
      const bytes = readFileSync(path);
      const changed = Buffer.from(bytes);
      const at = Math.floor(bytes.length / 2);
      changed[at] = (changed[at] ?? 0) ^ 1;
      for (const broken of [changed, bytes.subarray(0, bytes.length - 3), null]) {
        if (broken === null) rmSync(path);
        else writeFileSync(path, broken);
        const next = await anInstallation('sqlite');
        expect([name, await codeOf(restore(next.world, folder))]).toEqual([name, 'backup_damaged']);
        expect([name, await codeOf(checkBackup(next.world, folder))]).toEqual([
          name,
          'backup_damaged',
        ]);
        const left = existsSync(next.dataDir) ? readdirSync(next.dataDir) : [];
        expect(left.filter((one) => !one.startsWith('manager.lock'))).toEqual([]);
      }
      writeFileSync(path, bytes);
    }
    expect((await checkBackup(old.world, folder)).log?.checkpoints).toBe(1);
  }, 240_000);

  it('goes nowhere where something is', async () => {
    const old = await used('postgres');
    const folder = join(aDir(), 'backup');
    await backUp(old.world, folder, { withMasterKey: true });
    // Neither over files nor into a database that a manager was on.
    expect(await codeOf(restore(old.world, folder))).toBe('target_not_empty');
    const elsewhere = loadConfig({ ...old.env, BELLWETHER_DATA_DIR: join(aDir(), 'other') });
    expect(await codeOf(restore({ ...old.world, config: elsewhere }, folder))).toBe(
      'target_not_empty',
    );
    expect((await old.ask('groups.list'))['items']).toHaveLength(5);
  }, 120_000);
});

describe('moving from SQLite to PostgreSQL', () => {
  /** One that was used and stands still, and the place that it is to move to. */
  async function still() {
    const old = await used('sqlite');
    const groups = await old.ask('groups.list');
    await old.manager.stop();
    const made = await makePostgresDatabase();
    cleanUps.push(() => made.drop());
    const env = { ...old.env, DATABASE_URL: made.url };
    const world = { ...old.world, config: loadConfig(env) };
    const query = (sql: string): Promise<unknown[]> => queryOn(made.url, sql);
    const onSqlite = async (sql: string): Promise<void> => {
      const database = await openDatabase({ url: null, dataDir: old.dataDir, log: silentLog });
      await database.transaction((tx) => tx.run(sql));
      await database.close();
    };
    return { ...old, world, groups, query, onSqlite };
  }

  it('brings everything along, and the manager goes on there', async () => {
    const { world, groups, admin, dataDir } = await still();
    const done = await moveToPostgres(world);
    expect(done.log?.checkpoints).toBe(1);
    expect(done.seals?.events).toBeGreaterThan(0);
    expect(readdirSync(dataDir)).toContain('bellwether.db.moved-to-postgres');
    expect(readdirSync(dataDir)).not.toContain('bellwether.db');
    const manager = await startManager({
      config: world.config,
      log: silentLog,
      clock: makeClock(),
    });
    cleanUps.push(() => manager.stop());
    const ask = askerOf(manager.config.publicUrl, admin);
    expect((await ask('groups.list'))['items']).toEqual(groups['items']);
    expect((await ask('groups.create', { body: { name: 'there' } }))['id']).toMatch(/^grp_/);
  }, 180_000);

  it('is refused while a manager runs, and without a PostgreSQL', async () => {
    const old = await still();
    const running = await old.start();
    expect(await codeOf(moveToPostgres(old.world))).toBe('config_invalid');
    await running.stop();
    const without = { ...old.world, config: { ...old.world.config, databaseUrl: null } };
    expect(await codeOf(moveToPostgres(without))).toBe('config_invalid');
  }, 120_000);

  it('leaves a database that is not empty as it is', async () => {
    const old = await still();
    await old.query('CREATE TABLE theirs (id integer)');
    expect(await codeOf(moveToPostgres(old.world))).toBe('target_not_empty');
    expect(await old.query('SELECT * FROM theirs')).toEqual([]);
    await old.query('DROP TABLE theirs');
    // Killed behind its migrations it is simply run again; a manager's first start is too much.
    await moveToPostgres(old.world);
    expect(await codeOf(moveToPostgres(old.world))).toBe('config_invalid');
    const path = join(old.dataDir, 'bellwether.db');
    renameSync(`${path}.moved-to-postgres`, path);
    expect(await codeOf(moveToPostgres(old.world))).toBe('target_not_empty');
  }, 180_000);

  it('refuses a NUL, with its row, and what SQLite keeps in a column of another kind', async () => {
    const old = await still();
    const groups = old.groups['items'] as { id: string }[];
    const id = groups.at(-1)?.id ?? '';
    await old.onSqlite(`UPDATE node_groups SET name = 'a' || char(0) WHERE id = '${id}'`);
    await expect(moveToPostgres(old.world)).rejects.toMatchObject({
      code: 'value_not_storable',
      message: expect.stringMatching(new RegExp(`node_groups.name.*NUL.*${id}`)) as string,
    });
    await old.onSqlite(`UPDATE node_groups SET name = 'b', created_at = 1.5 WHERE id = '${id}'`);
    await expect(moveToPostgres(old.world)).rejects.toMatchObject({ code: 'value_not_storable' });
    expect(await old.query('SELECT id FROM node_groups')).toEqual([{ id: 'grp_default' }]);
    expect(readdirSync(old.dataDir)).toContain('bellwether.db');
    await old.onSqlite(`UPDATE node_groups SET created_at = 1 WHERE id = '${id}'`);
    expect((await moveToPostgres(old.world)).tables).toBeGreaterThan(30);
  }, 180_000);

  it('refuses the tables of another version', async () => {
    const old = await still();
    await old.onSqlite(`INSERT INTO migrations (timestamp, name) VALUES (1, 'Newer1')`);
    expect(await codeOf(moveToPostgres(old.world))).toBe('schema_differs');
    const alone = { ...old.world, config: { ...old.world.config, databaseUrl: null } };
    expect(await codeOf(backUp(alone, join(aDir(), 'b'), { withMasterKey: true }))).toBe(
      'schema_differs',
    );
  }, 120_000);

  it('finds an audit log that was changed behind its back', async () => {
    const old = await still();
    await old.onSqlite('DROP TRIGGER audit_entries_no_update');
    await old.onSqlite(`UPDATE audit_entries SET actor_name = 'eve' WHERE id = 1`);
    await expect(moveToPostgres(old.world)).rejects.toMatchObject({ code: 'backup_damaged' });
    expect(await old.query('SELECT id FROM audit_entries')).toEqual([]);
  }, 120_000);
});

it('every table of both databases is one that a backup can carry', async () => {
  const old = await anInstallation('postgres');
  const database = await openDatabase({
    url: old.env['DATABASE_URL'] ?? null,
    dataDir: old.dataDir,
    log: silentLog,
  });
  // Numbers that a sequence gives would begin anew after a restore.
  const given = await database.read.all(
    `SELECT table_name, column_name FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name <> 'migrations'
       AND (is_identity = 'YES' OR column_default LIKE 'nextval%')`,
  );
  await database.close();
  expect(given).toEqual([]);
});
