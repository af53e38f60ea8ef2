import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { EventLog } from '../../src/server/events/index.js';
import { Seals } from '../../src/server/events/seals.js';
import { loadConfig, openDatabase } from '../../src/server/platform/index.js';
import { buildPrograms } from '../support/built.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../support/databases.js';

/** `BELLWETHER_BENCH_EVENTS=5000000` for the size that is promised. */
const EVENTS = Number(process.env['BELLWETHER_BENCH_EVENTS'] ?? 500_000);
const PER_TRANSACTION = 5_000;

/** A sealed log in the data directory, as many nodes would have written it. */
async function fill(dataDir: string): Promise<void> {
  const database = await openDatabase({ url: null, dataDir, log: silentLog });
  const startMs = Date.now() - EVENTS * 10;
  const columns =
    'id, at, category, type, severity, node_id, group_id, rollout_id, command_id, service, message, details';
  for (let id = 1; id <= EVENTS; id += PER_TRANSACTION) {
    await database.transaction(async (tx) => {
      const rows = Array.from({ length: Math.min(PER_TRANSACTION, EVENTS - id + 1) }, (_, at) => [
        id + at,
        startMs + (id + at) * 10,
        'upgrade',
        'upgrade_completed',
        'info',
        `nod_${String((id + at) % 10_000).padStart(10, '0')}`,
        'grp_default',
        'rol_0123456789',
        `cmd_${id + at}`,
        'edge',
        'The new version is healthy.',
        '{"from":"1.0.0","to":"1.1.0","seconds":12}',
      ]);
      await tx.insertRows(`events (${columns})`, rows);
      await tx.run('UPDATE event_head SET value = ? WHERE id = 1', [id + rows.length - 1]);
    });
  }
  const clock = { now: () => Date.now() };
  const seals = new Seals(database, new EventLog(), clock, silentLog, loadConfig({}));
  await seals.sealNow();
  await database.close();
}

/** One command of the manager: how long it took, and the most memory that it had. */
async function measured(program: string, env: object, words: readonly string[]): Promise<void> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [program, ...words], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let peak = '';
  const look = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8');
      peak = /VmHWM:\s+(\d+)/.exec(status)?.[1] ?? peak;
    } catch {
      // It has ended.
    }
  }, 100);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  clearInterval(look);
  if (code !== 0) throw new Error(said);
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(
    `${words[0] ?? ''} ${words[1] === 'sqlite-to-postgres' ? words[1] : ''} ${EVENTS} events: ` +
      `${seconds.toFixed(1)} s, ${Math.round(Number(peak) / 1_024)} MiB at most`,
  );
}

describe('a log of many events', () => {
  it('is backed up, checked and moved in bounded memory', { timeout: 3_600_000 }, async () => {
    const programs = buildPrograms();
    const dir = makeTempDir();
    const target = await makePostgresDatabase();
    try {
      const dataDir = join(dir.path, 'data');
      await fill(dataDir);
      const program = join(programs.path, 'server', 'main.js');
      const env = { BELLWETHER_DATA_DIR: dataDir, TMPDIR: dir.path };
      const folder = join(dir.path, 'backup');
      await measured(program, env, ['backup', folder]);
      await measured(program, env, ['restore', folder, '--check']);
      rmSync(folder, { recursive: true });
      const moving = { ...env, DATABASE_URL: target.url };
      await measured(program, moving, ['migrate', 'sqlite-to-postgres']);
    } finally {
      await target.drop();
      dir.remove();
      programs.remove();
    }
  });
});
