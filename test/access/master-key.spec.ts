import { createCipheriv, randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, stepAt, TOTP_STEP_MS } from '../../src/core/people/index.js';
import { startManager, type Manager } from '../../src/server/manager.js';
import { Database, loadConfig, openDatabase } from '../../src/server/platform/index.js';
import { buildPrograms } from '../support/built.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../support/databases.js';
import { callRoute, makeClock, type TestClock } from '../support/manager.js';
import { makeBrowser, PASSWORD } from '../support/people/browser.js';
import { fromBase32 } from '../support/people/second-factor.js';
import { aMasterKey, secretsUnder } from '../support/secrets.js';

const rowsOf = (sql: Database) =>
  sql.read.all<{ id: string; factor_secret: string }>(
    'SELECT id, factor_secret FROM users WHERE factor_secret IS NOT NULL ORDER BY id',
  );
const keysOf = async (sql: Database): Promise<string[]> =>
  (await sql.read.all<{ id: string }>('SELECT id FROM master_keys ORDER BY id')).map(
    ({ id }) => id,
  );

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`the master key (${kind})`, () => {
    let dir: ReturnType<typeof makeTempDir>;
    let database: Readonly<Record<string, string>>;
    let drop: (() => Promise<void>) | null;
    let clock: TestClock;
    let running: Manager | null = null;
    beforeEach(async () => {
      dir = makeTempDir();
      const made = kind === 'postgres' ? await makePostgresDatabase() : null;
      database = made === null ? {} : { DATABASE_URL: made.url };
      drop = made?.drop ?? null;
      clock = makeClock();
    });
    afterEach(async () => {
      await running?.stop();
      running = null;
      await drop?.();
      dir.remove();
    });

    const at = (file: string): string => join(dir.path, file);
    async function start(env: Readonly<Record<string, string>> = {}): Promise<Manager> {
      await running?.stop();
      running = null;
      const given = { BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0', ...database, ...env };
      running = await startManager({ config: loadConfig(given), log: silentLog, clock });
      return running;
    }
    const keyFile = (name: string, ...keys: readonly string[]): string => {
      writeFileSync(at(name), `${keys.join('\n')}\n`, { mode: 0o600 });
      return at(name);
    };

    /** The first user, with a second factor; gives the secret of the authenticator. */
    async function ann(manager: Manager): Promise<Buffer> {
      const browser = makeBrowser(manager.config.publicUrl);
      const setup = { setup_token: manager.setupToken ?? '', password: PASSWORD };
      const body = { ...setup, login: 'ann', name: 'Ann' };
      expect((await browser.call('setup.first_user', { body })).status).toBe(201);
      const begun = await browser.call('account.begin_factor', { body: { password: PASSWORD } });
      const secret = fromBase32(begun.body['secret'] as string);
      const code = codeOf(secret, stepAt(clock.now()));
      expect((await browser.call('account.confirm_factor', { body: { code } })).status).toBe(200);
      return secret;
    }
    /** Signs in with a fresh code, as a command line does, and gives what admins need. */
    async function signIn(manager: Manager, secret: Buffer): Promise<string> {
      clock.advance(TOTP_STEP_MS);
      const code = codeOf(secret, stepAt(clock.now()));
      const body = { login: 'ann', password: PASSWORD, code, as: 'token' };
      const given = await callRoute(manager.config.publicUrl, 'session.sign_in', { body }, null);
      expect(given.status).toBe(201);
      return (given.body as { token: string }).token;
    }
    const audited = async (manager: Manager, token: string, action: string) => {
      const query = { action, limit: 100 };
      const { body } = await callRoute(manager.config.publicUrl, 'audit.list', { query }, token);
      return (body as { items: { details: Record<string, unknown> }[] }).items;
    };
    const verifier = async (manager: Manager, token: string): Promise<string> => {
      const { body } = await callRoute(manager.config.publicUrl, 'audit.key', {}, token);
      return JSON.stringify(body);
    };

    it('is made at the first start, for its owner alone, and needed from then on', async () => {
      const manager = await start();
      expect(statSync(at('master.key')).mode & 0o777).toBe(0o600);
      const secret = await ann(manager);
      const held = readFileSync(at('master.key'), 'utf8');
      await signIn(await start(), secret);
      expect(readFileSync(at('master.key'), 'utf8')).toBe(held);

      await running?.stop();
      running = null;
      rmSync(at('master.key'));
      // No new one: it would open nothing, and hide that the right one is missing.
      await expect(start()).rejects.toMatchObject({ code: 'master_key_wrong' });
      expect(existsSync(at('master.key'))).toBe(false);
      writeFileSync(at('master.key'), aMasterKey());
      await expect(start()).rejects.toMatchObject({ code: 'master_key_wrong' });
      writeFileSync(at('master.key'), 'damaged');
      await expect(start()).rejects.toMatchObject({ code: 'config_invalid' });
      writeFileSync(at('master.key'), held);
      await signIn(await start(), secret);
    });

    it('that is given relieves the one that was made, and another relieves that', async () => {
      const first = await start();
      const secret = await ann(first);
      const before = await verifier(first, await signIn(first, secret));
      const [one, two] = [aMasterKey(), aMasterKey()];
      const sealed = (): string => readFileSync(at('audit-key.sealed.json'), 'utf8');

      for (const [env, key] of [
        [{ BELLWETHER_MASTER_KEY_FILE: keyFile('one', one) }, one],
        [{ BELLWETHER_MASTER_KEY: two, BELLWETHER_MASTER_KEYS_OLD_FILE: keyFile('old', one) }, two],
      ] as const) {
        const manager = await start(env);
        const sql = manager.app.get(Database);
        const { keyId, beginning } = secretsUnder(key);
        await expect.poll(() => keysOf(sql)).toEqual([keyId]);
        expect((await rowsOf(sql)).map((row) => row.factor_secret.startsWith(beginning))).toEqual([
          true,
        ]);
        expect(sealed()).toContain(keyId);
        const token = await signIn(manager, secret);
        expect(await verifier(manager, token)).toBe(before);
        const [newest] = await audited(manager, token, 'secret.rotate');
        expect(newest).toMatchObject({ target_id: keyId, actor_kind: 'system' });
      }
      // What was relieved opens nothing any more, wherever it stands.
      await expect(start({ BELLWETHER_MASTER_KEY: one })).rejects.toMatchObject({
        code: 'master_key_wrong',
      });
      await expect(start()).rejects.toMatchObject({ code: 'master_key_wrong' });
      const token = await signIn(await start({ BELLWETHER_MASTER_KEY: two }), secret);
      expect(await audited(running as Manager, token, 'secret.rotate')).toHaveLength(2);
      expect(await audited(running as Manager, token, 'secret.reseal')).toHaveLength(4);
    });

    it('takes over second factors from the key file of before, also in two steps', async () => {
      const manager = await start();
      const secret = await ann(manager);
      const sql = manager.app.get(Database);
      const [user] = await rowsOf(sql);
      // As version 0.1 stored it: nonce, ciphertext and tag under a key of its own.
      const [key, nonce] = [randomBytes(32), randomBytes(12)];
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(user?.id ?? ''));
      const bytes = [nonce, cipher.update(secret), cipher.final()];
      const old = Buffer.concat([...bytes, cipher.getAuthTag()]).toString('base64');
      await sql.transaction((tx) => tx.run('UPDATE users SET factor_secret = ?', [old]));
      await running?.stop();
      running = null;

      writeFileSync(at('second-factor.key'), randomBytes(32).toString('base64'));
      // Not the one it was sealed with: nobody comes in without his code, and nothing is lost.
      await expect(start()).rejects.toMatchObject({ code: 'config_invalid' });
      expect(existsSync(at('second-factor.key'))).toBe(true);
      writeFileSync(at('second-factor.key'), key.toString('base64'));
      await signIn(await start(), secret);
      expect(existsSync(at('second-factor.key'))).toBe(false);
      const stored = await rowsOf((running as unknown as Manager).app.get(Database));
      expect(stored[0]?.factor_secret).toMatch(/^sealed:1:/);

      // Killed after the last row and before the file went: nothing is left to do.
      writeFileSync(at('second-factor.key'), key.toString('base64'));
      await signIn(await start(), secret);
      expect(existsSync(at('second-factor.key'))).toBe(false);
    });

    it('is read from a file with one good key, and the problem names no key', async () => {
      const good = aMasterKey();
      const wrong = ['', 'short', `${good}\n${good}`, 'A'.repeat(44)];
      for (const text of wrong) {
        const problem = await start({ BELLWETHER_MASTER_KEY_FILE: keyFile('key', text) }).catch(
          (error: unknown) => error as Error,
        );
        expect(problem).toMatchObject({ code: 'config_invalid' });
        expect((problem as Error).message).toContain('BELLWETHER_MASTER_KEY_FILE');
        expect((problem as Error).message).not.toContain(good);
      }
      const missing = start({ BELLWETHER_MASTER_KEY_FILE: at('nowhere') });
      await expect(missing).rejects.toMatchObject({ code: 'config_invalid' });
    });
  });
}

describe('a change of the master key that is killed', () => {
  const USERS = 3_000;

  it('goes on where it was, and no secret is lost', { timeout: 300_000 }, async () => {
    const programs = buildPrograms();
    const dir = makeTempDir();
    const { url, drop } = await makePostgresDatabase();
    const [old, fresh] = [aMasterKey(), aMasterKey()];
    const oldFile = join(dir.path, 'old');
    writeFileSync(oldFile, old, { mode: 0o600 });
    const launch = (env: Readonly<Record<string, string>>) =>
      spawn(process.execPath, [join(programs.path, 'server', 'main.js')], {
        env: {
          BELLWETHER_DATA_DIR: join(dir.path, 'data'),
          BELLWETHER_PORT: '0',
          DATABASE_URL: url,
          ...env,
        },
        stdio: 'ignore',
      });
    const end = async (child: ReturnType<typeof launch>, signal: NodeJS.Signals) => {
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    };
    const sql = await openDatabase({ url, dataDir: dir.path, log: silentLog });
    let child: ReturnType<typeof launch> | null = null;
    try {
      const before = secretsUnder(old);
      before.keep('second-factor', { reseal: async () => 0 });
      await sql.transaction(async (tx) => {
        await tx.run('INSERT INTO master_keys (id, since) VALUES (?, 0)', [before.keyId]);
        for (let i = 0; i < USERS; i += 1) {
          const id = `usr_${String(i).padStart(20, '0')}`;
          await tx.run(
            `INSERT INTO users (id, login, skeleton, name, kind, is_super_admin, factor_secret,
               factor_step, created_at) VALUES (?, ?, ?, 'x', 'local', 0, ?, -1, 0)`,
            [id, id, id, before.seal('second-factor', id, `secret ${i}`)],
          );
        }
      });
      const env = { BELLWETHER_MASTER_KEY: fresh, BELLWETHER_MASTER_KEYS_OLD_FILE: oldFile };
      const { beginning, keyId } = secretsUnder(fresh);
      const countOf = async (): Promise<number> => {
        const text = 'SELECT count(*) AS count FROM users WHERE factor_secret LIKE ?';
        const row = await sql.read.get<{ count: number }>(text, [`${beginning}%`]);
        return row?.count ?? 0;
      };
      child = launch(env);
      await expect.poll(countOf, { interval: 2, timeout: 60_000 }).toBeGreaterThan(0);
      await end(child, 'SIGKILL');
      const done = await countOf();
      // Whole batches, each with its entry; the newest key is not yet the only one.
      const entries = await sql.read.all<{ details: string }>(
        `SELECT details FROM audit_entries WHERE action = 'secret.reseal'`,
      );
      const told = entries
        .map(({ details }) => JSON.parse(details) as { purpose: string; count: number })
        .filter(({ purpose }) => purpose === 'second-factor');
      expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(done);
      const both = secretsUnder(fresh, old);
      for (const [i, row] of (await rowsOf(sql)).entries()) {
        expect(both.open('second-factor', row.id, row.factor_secret)).toBe(`secret ${i}`);
      }

      child = launch(env);
      await expect.poll(() => keysOf(sql), { timeout: 60_000 }).toEqual([keyId]);
      await end(child, 'SIGTERM');
      const alone = secretsUnder(fresh);
      const rows = await rowsOf(sql);
      expect(rows).toHaveLength(USERS);
      for (const [i, row] of rows.entries()) {
        expect(alone.open('second-factor', row.id, row.factor_secret)).toBe(`secret ${i}`);
      }
    } finally {
      if (child !== null && child.exitCode === null && child.signalCode === null) {
        await end(child, 'SIGKILL');
      }
      await sql.close();
      await drop();
      dir.remove();
      programs.remove();
    }
  });
});
