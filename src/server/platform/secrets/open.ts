import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { FleetError } from '../../../core/kernel/index.js';
import { invalidConfig, type MasterKeyConfig } from '../config/index.js';
import type { Database, Tx } from '../database/index.js';
import type { Clock } from '../tokens.js';
import { readIfThere, writeDurably } from './durable-file.js';
import { MASTER_KEY_BYTES, parseMasterKey, type MasterKey } from './master-key.js';
import { Secrets } from './secrets.js';

/** In the data directory, when the operator gives no key. */
export const MASTER_KEY_FILE = 'master.key';
const KEY_VARIABLE = 'BELLWETHER_MASTER_KEY_FILE';
const OLD_KEYS_MAX = 16;
const KEY_FILE_BYTES_MAX = 4_096;
const HOW = 'give 32 random bytes in base64 or hex, as `openssl rand -base64 32` prints them';

interface Keys {
  readonly current: MasterKey;
  readonly old: readonly MasterKey[];
}

interface Options {
  readonly config: { readonly dataDir: string; readonly masterKey: MasterKeyConfig };
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Finds the master key and checks that it is the one of this database: throws `config_invalid` when it
 * cannot be read, and `master_key_wrong` when something lies under a key that was not given. Without one
 * given, and at the first start only, one is made in the data directory.
 */
export async function openSecrets(options: Options): Promise<Secrets> {
  const { database, config, clock } = options;
  const { current, old } = await keysOf(options);
  await database.transaction((tx) => admit(tx, current, old, clock.now(), config.masterKey));
  return new Secrets(current, old);
}

async function keysOf({ config, database, log }: Options): Promise<Keys> {
  const { value, file, oldFile } = config.masterKey;
  const ownPath = join(config.dataDir, MASTER_KEY_FILE);
  const old = oldFile === null ? [] : await keysIn(oldFile, 'BELLWETHER_MASTER_KEYS_OLD_FILE', log);
  const own = await ownKey(ownPath);
  if (value === null && file === null) {
    return { current: own ?? (await makeOwn(ownPath, database, log)), old };
  }
  const given =
    file === null ? parseMasterKey(value ?? '') : (await keysIn(file, KEY_VARIABLE, log)).at(0);
  if (given === null || given === undefined) {
    throw invalidConfig([`BELLWETHER_MASTER_KEY: ${HOW}`]);
  }
  // The one that was made here is relieved by the one that was given.
  if (own !== null && own.id !== given.id) {
    log.warn(
      { file: ownPath },
      'a master key was given: remove the one in the data directory once everything is sealed anew',
    );
  }
  return { current: given, old: own === null ? old : [...old, own] };
}

async function keysIn(path: string, variable: string, log: Logger): Promise<MasterKey[]> {
  const told = (problem: string): FleetError => invalidConfig([`${variable}: ${path}: ${problem}`]);
  let text: string;
  try {
    const { size, mode } = await stat(path);
    if (size > KEY_FILE_BYTES_MAX) throw new Error('is too large for keys');
    if ((mode & 0o007) !== 0) log.warn({ file: path }, 'others may read the file of a master key');
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw told((error as Error).message);
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const most = variable === KEY_VARIABLE ? 1 : OLD_KEYS_MAX;
  if (lines.length === 0 || lines.length > most) {
    throw told(most === 1 ? 'give one key' : `give 1 to ${most} keys, one a line`);
  }
  return lines.map((line, index) => {
    const key = parseMasterKey(line);
    if (key === null) throw told(`line ${index + 1}: ${HOW}`);
    return key;
  });
}

async function ownKey(path: string): Promise<MasterKey | null> {
  const text = await readIfThere(path);
  if (text === null) return null;
  const key = parseMasterKey(text);
  if (key === null) {
    throw invalidConfig([`BELLWETHER_DATA_DIR: ${path} is damaged; restore it from a backup`]);
  }
  return key;
}

/** Only where nothing is sealed yet: a new key beside a full database would open nothing. */
async function makeOwn(path: string, database: Database, log: Logger): Promise<MasterKey> {
  const known = await database.read.all<{ id: string }>('SELECT id FROM master_keys');
  if (known.length > 0) {
    throw wrongKey(
      `${path} is missing, and the database holds secrets under the key ` +
        `${known.map(({ id }) => id).join(', ')}; restore it from a backup, or give that key in ` +
        'BELLWETHER_MASTER_KEY_FILE',
    );
  }
  const text = randomBytes(MASTER_KEY_BYTES).toString('base64');
  await writeDurably(path, `${text}\n`);
  log.warn(
    { file: path },
    'no master key was given: one was made in the data directory; who has all of that can open secrets',
  );
  const key = parseMasterKey(text);
  // One in many times the age of the world would look like no key.
  return key ?? (await makeOwn(path, database, log));
}

/** Every key under which something may lie has to be here; the newest is written down. */
async function admit(
  tx: Tx,
  current: MasterKey,
  old: readonly MasterKey[],
  nowMs: number,
  { file, value }: MasterKeyConfig,
): Promise<void> {
  const known = await tx.all<{ id: string }>('SELECT id FROM master_keys');
  const given = new Set([current, ...old].map(({ id }) => id));
  const missing = known.filter(({ id }) => !given.has(id)).map(({ id }) => id);
  if (missing.length > 0) {
    const from = value !== null ? 'BELLWETHER_MASTER_KEY' : (file ?? MASTER_KEY_FILE);
    throw wrongKey(
      `${from} holds the key ${current.id}, and the database holds secrets under ` +
        `${missing.join(', ')}; give that one back, or, to change keys, put it into ` +
        'BELLWETHER_MASTER_KEYS_OLD_FILE until `secret.rotate` is in the audit log',
    );
  }
  await tx.run('INSERT INTO master_keys (id, since) VALUES (?, ?) ON CONFLICT DO NOTHING', [
    current.id,
    nowMs,
  ]);
}

const wrongKey = (problem: string): FleetError =>
  new FleetError('master_key_wrong', problem, { kind: 'operational' });
