import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import BetterSqlite3 from 'better-sqlite3';
import { describe, it } from 'vitest';
import { seededRandom } from '../../src/core/kernel/index.js';
import { LINK_PATH, SUBPROTOCOL } from '../../src/protocol/node/index.js';
import { searchEvents, type EventWanted } from '../../src/server/events/event-search.js';
import { EventLog } from '../../src/server/events/index.js';
import { Database, openDatabase } from '../../src/server/platform/index.js';
import { makePostgresDatabase, makeTempDir, silentLog } from '../support/databases.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { aHello } from '../support/node-link.js';
import { ROOT } from '../walls/tree.js';
import { compared, median } from './measure.js';

/** `EVENTS_BENCH_ROWS=100000 npm run bench -- events` for a short look. */
const ROWS = Number(process.env['EVENTS_BENCH_ROWS'] ?? 5_000_000);
const NODES = 100;
const PER_BATCH = 100;
const BATCHES = 12;
const ROUNDS = 6;

const DETAILS = '{"product":"edge","version":"1.2.0","bytes":60000000,"error_code":null}';
const MESSAGE = 'the artifact was downloaded and its digest fits the manifest';

/** How quick something was: by the clock, and by the CPU time that this process took for it. */
interface Pace {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

const cpuMicrosNow = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** The same rows, into the same table with the same index, by hand. */
function rawInserts(path: string, rows: number): Pace {
  const raw = new BetterSqlite3(path);
  raw.pragma('journal_mode = WAL');
  raw.pragma('synchronous = FULL');
  raw.exec(`CREATE TABLE IF NOT EXISTS raw_events (id integer PRIMARY KEY, at bigint, occurred_at bigint,
    category text, type text, version integer, severity text, node_id text, group_id text,
    rollout_id text, command_id text, service text, error_code text, message text, details text)`);
  raw.exec('CREATE INDEX IF NOT EXISTS raw_by_group ON raw_events (group_id, id)');
  const insert = raw.prepare(
    'INSERT INTO raw_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const row = raw.prepare('SELECT COALESCE(MAX(id), 0) AS id FROM raw_events').get();
  let { id } = row as { id: number };
  const cpuAt = cpuMicrosNow();
  const startedAt = performance.now();
  for (let done = 0; done < rows; done += 1_000) {
    raw.exec('BEGIN IMMEDIATE');
    for (let index = 0; index < 1_000; index += 1) {
      id += 1;
      insert.run(
        ...[id, Date.now(), Date.now(), 'upgrade', 'upgrade_downloaded', 1, 'info'],
        ...[`nod_${100_000 + (Math.floor(id / 100) % NODES)}`, 'grp_default', null, null, 'edge'],
        ...[null, MESSAGE, DETAILS],
      );
    }
    raw.exec('COMMIT');
  }
  const ms = performance.now() - startedAt;
  const cpuMicros = (cpuMicrosNow() - cpuAt) / rows;
  raw.close();
  return { perSecond: (1_000 * rows) / ms, cpuMicros };
}

interface Flood {
  readonly events: number;
  readonly ms: number;
}

async function flood(manager: TestManager): Promise<Pace> {
  const tokens: string[] = [];
  for (let index = 0; index < NODES; index += 1) {
    tokens.push((await manager.node('grp_default', `flood-${index}`)).token());
  }
  const child = spawn(process.execPath, [join(ROOT, 'test/bench/event-flood.mjs')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  let cpuAt = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    // Its first line says that all links are open.
    if (cpuAt === 0) cpuAt = cpuMicrosNow();
    output += chunk.toString();
  });
  child.stdin.end(
    JSON.stringify({
      url: manager.url.replace('http', 'ws') + LINK_PATH,
      subprotocol: SUBPROTOCOL,
      tokens,
      hello: aHello(),
      batches: BATCHES,
      perBatch: PER_BATCH,
    }),
  );
  await once(child, 'close');
  const cpuMicros = cpuMicrosNow() - cpuAt;
  const { events, ms } = JSON.parse(output.split('\n')[1] ?? '') as Flood;
  return { perSecond: (1_000 * events) / ms, cpuMicros: cpuMicros / events };
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;

/**
 * A log of so many events, made by the database itself: groups of very different size, a rare node, a rare
 * error. Marks and blocks as the manager would have noted them.
 */
async function fill(database: Database, rows: number): Promise<void> {
  const isSqlite = database.kind === 'sqlite';
  const numbers = (from: number, to: number): string =>
    isSqlite
      ? `(WITH RECURSIVE n(id) AS (SELECT ${from} UNION ALL SELECT id + 1 FROM n WHERE id < ${to}) SELECT id FROM n)`
      : `generate_series(${from}, ${to}) AS`;
  const step = 500_000;
  for (let from = 1; from <= rows; from += step) {
    const to = Math.min(rows, from + step - 1);
    await database.transaction((tx) =>
      tx.run(
        `INSERT INTO events (id, at, occurred_at, category, type, version, severity, node_id,
           group_id, rollout_id, command_id, service, error_code, message, details)
         SELECT id, 1700000000000 + CAST(id AS bigint) * 100, NULL, 'upgrade', 'upgrade_downloaded', 1,
           CASE WHEN id % 1000 = 0 THEN 'critical' ELSE 'info' END,
           CASE WHEN id % 100003 = 0 THEN 'nod_rare00' ELSE 'nod_' || (100000 + (id / 100) % 5000) END,
           CASE WHEN id % 50021 = 0 THEN 'grp_rare00' ELSE 'grp_' || (100000 + id % 50) END,
           NULL, NULL, 'edge', CASE WHEN id % 250007 = 0 THEN 'upgrade_unhealthy' END,
           '${MESSAGE}', '${DETAILS}' FROM ${numbers(from, to)} ${isSqlite ? '' : 'numbers(id)'}`,
      ),
    );
  }
  const marks: readonly (readonly [string, string])[] = [
    ['n:', 'node_id'],
    ['s:', 'severity'],
    ['e:', 'error_code'],
    ['t:', 'type'],
    ['c:', 'category'],
  ];
  await database.transaction(async (tx) => {
    for (const [prefix, column] of marks) {
      await tx.run(
        `INSERT INTO event_marks (key, block) SELECT DISTINCT '${prefix}' || ${column}, (id - 1) / 512
         FROM events WHERE ${column} IS NOT NULL ON CONFLICT DO NOTHING`,
      );
    }
    await tx.run(
      `INSERT INTO event_blocks (block, first_at, last_at) SELECT (id - 1) / 512, MIN(at), MAX(at)
       FROM events GROUP BY (id - 1) / 512 ON CONFLICT DO NOTHING`,
    );
    await tx.run('UPDATE event_head SET value = ? WHERE id = 1', [rows]);
  });
  if (!isSqlite) await database.read.run('ANALYZE events');
}

async function timesOf(database: Database, wanted: EventWanted, rows: number): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < 300; round += 1) {
    const startedAt = performance.now();
    await searchEvents(database.read, {
      wanted,
      range: { after: 0, through: rows },
      order: 'newest',
      limit: 50,
    });
    times.push(performance.now() - startedAt);
  }
  return times.slice(50);
}

const SEARCHES: readonly (readonly [string, EventWanted])[] = [
  ['of a group', { groups: ['grp_100007'] }],
  ['of a rare group', { groups: ['grp_rare00'] }],
  ['of 20 groups', { groups: Array.from({ length: 20 }, (_, at) => `grp_${100_010 + at}`) }],
  ['of a node', { groups: 'all', node_id: 'nod_100042' }],
  ['of a rare node', { groups: 'all', node_id: 'nod_rare00' }],
  ['with a rare error', { groups: 'all', error_code: 'upgrade_unhealthy' }],
  ['critical, of a group', { groups: ['grp_100000'], min_severity: 'critical' }],
  ['before a moment', { groups: 'all', untilMs: 1_700_000_000_000 + ROWS * 50 }],
];

describe.each(['sqlite', 'postgres'] as const)('the last 50 events (%s)', (kind) => {
  it(`in ${ROWS} against a few`, { timeout: 1_800_000 }, async () => {
    const opened: { database: Database; close(): Promise<void> }[] = [];
    for (const rows of [2_000, ROWS]) {
      const dir = makeTempDir();
      const made = kind === 'postgres' ? await makePostgresDatabase() : null;
      const database = await openDatabase({
        url: made?.url ?? null,
        dataDir: dir.path,
        log: silentLog,
      });
      await fill(database, rows);
      opened.push({
        database,
        close: async () => {
          await database.close();
          await made?.drop();
          dir.remove();
        },
      });
    }
    const [few, many] = opened;
    if (few === undefined || many === undefined) throw new Error('no databases');
    for (const [what, wanted] of SEARCHES) {
      const small = await timesOf(few.database, wanted, 2_000);
      const large = await timesOf(many.database, wanted, ROWS);
      compared(`${kind}: last 50 ${what} in ${ROWS} (median)`, {
        ...(what === 'of a group' ? { row: 'events_page' } : {}),
        unit: 'ms',
        baseline: ['in 2000', median(small)],
        measured: [`p99 ${quantile(large, 0.99).toFixed(2)} ms, median`, median(large)],
      });
    }
    for (const one of opened) await one.close();
  });
});

describe('events of nodes, made durable and acknowledged', () => {
  it(
    'end to end, against raw inserts, in an empty log and in a long one',
    { timeout: 1_800_000 },
    async () => {
      const dir = makeTempDir();
      const manager = await startTestManager();
      const best = async (what: string): Promise<number> => {
        const [raw, ours]: [Pace[], Pace[]] = [[], []];
        for (let round = 0; round < ROUNDS; round += 1) {
          raw.push(rawInserts(join(dir.path, 'raw.db'), NODES * BATCHES * PER_BATCH));
          ours.push(await flood(manager));
        }
        const most = (paces: readonly Pace[]): number =>
          Math.max(...paces.map(({ perSecond }) => perSecond));
        const least = (paces: readonly Pace[]): number =>
          Math.min(...paces.map(({ cpuMicros }) => cpuMicros));
        compared(`events a second, ${what}`, {
          ...(what === 'empty log' ? { row: 'events' } : {}),
          unit: '/s',
          baseline: ['raw inserts', most(raw)],
          measured: ['ingest', most(ours)],
        });
        // What other programs on the machine do moves this much less.
        compared(`events in a second of CPU, ${what}`, {
          unit: '/s',
          baseline: ['raw inserts', 1e6 / least(raw)],
          measured: ['ingest', 1e6 / least(ours)],
        });
        return most(ours);
      };
      const empty = await best('empty log');
      const database = manager.manager.app.get(Database);
      await database.transaction((tx) => tx.run('DELETE FROM events'));
      await fill(database, ROWS);
      // Nobody came round meanwhile: connections that were kept open have ended, which takes a turn to notice.
      await sleep(1_000);
      const full = await best(`${ROWS} rows`);
      compared(`ingest at ${ROWS} rows against an empty log`, {
        row: 'events_full',
        unit: '/s',
        baseline: ['empty', empty],
        measured: ['full', full],
      });
      const pages = (count: number, query: () => string): string[] =>
        Array.from({ length: count }, () => `/api/v1/events?order=newest&limit=50${query()}`);
      const timesOf = async (query: () => string): Promise<number[]> =>
        (await answers(manager, pages(1_050, query))).slice(50);
      const ofGroup = await timesOf(() => '&group_id=grp_default');
      const newest = await timesOf(() => '');
      const random = seededRandom('pages');
      const deep = await timesOf(() => `&before=${100 + random.below(ROWS)}`);
      compared(`GET of the last 50 of a group and below, ${ROWS} rows`, {
        row: 'events_page_http',
        unit: 'ms',
        baseline: ['median', median(ofGroup)],
        measured: ['p99', quantile(ofGroup, 0.99)],
      });
      for (const [what, share] of [
        ['median', 0.5],
        ['p99', 0.99],
      ] as const) {
        compared(`GET of 50 at any depth of ${ROWS} rows (${what})`, {
          unit: 'ms',
          baseline: ['the newest', quantile(newest, share)],
          measured: ['any', quantile(deep, share)],
        });
      }
      await manager.stop();
      dir.remove();
    },
  );
});

/** How long each answer took, as a process of its own sees it. */
async function answers(
  { manager, token }: TestManager,
  paths: readonly string[],
): Promise<number[]> {
  const child = spawn(process.execPath, [join(ROOT, 'test/bench/http-client.mjs')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const given = { url: manager.config.publicUrl, token: await token('super_admin'), paths };
  child.stdin.end(JSON.stringify(given));
  await once(child, 'close');
  return JSON.parse(output) as number[];
}

const READERS = 100;
const TELLS = 300;

async function startReaders(url: string, token: string): Promise<ChildProcess> {
  const given = JSON.stringify({ url, token, readers: READERS });
  const child = spawn(process.execPath, [join(ROOT, 'test/bench/event-readers.mjs'), given], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

/** How long after each moment each reader had its event. */
async function delays(child: ChildProcess, at: ReadonlyMap<number, number>): Promise<number[]> {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin?.end();
  await once(child, 'close');
  const came = JSON.parse(output) as [number, number[]][];
  return came.flatMap(([id, times]) => {
    const sentAt = at.get(id);
    return sentAt === undefined ? [] : times.map((time) => time - sentAt);
  });
}
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

describe('live events', () => {
  it(`reach ${READERS} readers after the commit`, { timeout: 300_000 }, async () => {
    // What it takes to write the same bytes to as many sockets, with nothing behind them.
    const answers: ServerResponse[] = [];
    const bare = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      answers.push(response);
    }).listen(0, '127.0.0.1');
    await once(bare, 'listening');
    const barePort = (bare.address() as AddressInfo).port;
    const bareReaders = await startReaders(`http://127.0.0.1:${barePort}/`, '');
    const line = JSON.stringify({ message: MESSAGE, details: DETAILS, more: 'x'.repeat(150) });
    const bareAt = new Map<number, number>();
    for (let id = 1; id <= TELLS; id += 1) {
      bareAt.set(id, nowMs());
      for (const answer of answers) answer.write(`id: ${id}\ndata: ${line}\n\n`);
      await sleep(20);
    }
    const bareDelays = await delays(bareReaders, bareAt);
    bare.closeAllConnections();
    bare.close();

    const manager = await startTestManager();
    const [log, database] = [manager.manager.app.get(EventLog), manager.manager.app.get(Database)];
    // Ten streams are what one token may have.
    const tokens: string[] = [];
    for (let index = 0; index < READERS / 10; index += 1) {
      tokens.push(await manager.token('viewer', 'grp_default'));
    }
    const url = `${manager.url}/api/v1/events/stream`;
    const child = await startReaders(url, tokens.join(' '));
    const at = new Map<number, number>();
    for (let index = 0; index < TELLS; index += 1) {
      const committed = await database.transaction(async (tx) => {
        const when = { ms: 0 };
        // Before the log hears of it: nothing of what it does is left out.
        tx.afterCommit(() => (when.ms = nowMs()));
        log.append(tx, [
          {
            category: 'upgrade',
            type: 'upgrade_downloaded',
            severity: 'info',
            nodeId: null,
            groupId: 'grp_default',
            message: MESSAGE,
            details: { product: 'edge', version: '1.2.0', bytes: 60_000_000 },
            at: Date.now(),
          },
        ]);
        return when;
      });
      const { last } = await log.head(database.read);
      at.set(last, committed.ms);
      await sleep(20);
    }
    const ours = await delays(child, at);
    if (ours.length !== READERS * TELLS) throw new Error(`${ours.length} of them came`);
    for (const [what, share] of [
      ['median', 0.5],
      ['p99', 0.99],
    ] as const) {
      compared(`from the commit to ${READERS} readers (${what})`, {
        unit: 'ms',
        baseline: ['bare writes', quantile(bareDelays, share)],
        measured: ['stream', quantile(ours, share)],
      });
    }
    await manager.stop();
  });
});
