import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { EventLog } from '../../src/server/events/index.js';
import { startManager, type Manager } from '../../src/server/manager.js';
import { Database, loadConfig } from '../../src/server/platform/index.js';
import { signIn, startBrowser, type Browser } from '../console/browser.js';
import { CONSOLE_DIR, PASSWORD } from '../console/stage.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { makeSigningKey, publish } from '../support/fleet.js';
import { callRoute, makeClock } from '../support/manager.js';
import { compared, median } from './measure.js';

/** `CONSOLE_BENCH_NODES=10000 npm run bench -- console` for a short look. */
const NODES = Number(process.env['CONSOLE_BENCH_NODES'] ?? 100_000);
const TARGETS = Math.min(10_000, NODES);
const ROUNDS = 5;
const FLOOD_SECONDS = 10;
const EVENTS_PER_SECOND = 10_000;
const STEP_MS = 100;

/** Nodes as they are after years: many groups of names, three versions, a few that failed. */
async function fill(database: Database): Promise<void> {
  const host = JSON.stringify({ os: 'linux', arch: 'x64', hostname: 'edge', kernel: '6.12.9' });
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${NODES})`;
  const service = `'[{"name":"edge","product":"edge","variant":"default","version":"1.' || (i % 3) ||
    '.0","previous_version":null,"phase":"idle","command_id":null,"healthy":true,"restarts":0,"outcome":null}]'`;
  await database.transaction((tx) =>
    tx.run(
      `INSERT INTO nodes (id, name, group_id, status, public_key, host, labels, agent_version,
         capabilities, services, policy_digest, generation, enrolled_at, last_seen_at, revoked_at)
       ${numbers} SELECT 'nod_' || substr('000000000000' || i, -12), 'edge-' || substr('000000' || i, -6),
         'grp_default', CASE WHEN i % 20 = 0 THEN 'offline' ELSE 'online' END, 'key-' || i, '${host}',
         '{"site":"s' || (i % 40) || '"}', '0.1.0', '["upgrade"]', ${service}, '', 0,
         1763000000000 + i, 1763700000000, NULL FROM n`,
    ),
  );
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[
    Math.min(values.length - 1, Math.floor(values.length * share))
  ] ?? 0;

const say = (what: string, aim: string, values: readonly number[]): void =>
  void process.stdout.write(
    `| ${what} | aim ${aim} | median ${median(values).toFixed(0)} ms, worst ${Math.max(0, ...values).toFixed(0)} ms |\n`,
  );

describe(`the console, ${NODES} nodes`, () => {
  const dir = makeTempDir();
  let manager: Manager;
  let browser: Browser;
  let url = '';
  let admin = '';
  const call = async (name: never, given: object): Promise<never> => {
    const { status, body } = await callRoute(url, name, given, admin);
    if (status >= 300) throw new Error(`${String(name)}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const start = async (): Promise<void> => {
    const env = { BELLWETHER_DATA_DIR: dir.path, BELLWETHER_PORT: '0' };
    const config = loadConfig(env);
    const given = { config, log: silentLog, clock: makeClock(), consoleDir: CONSOLE_DIR };
    manager = await startManager(given);
    url = manager.config.publicUrl;
  };

  beforeAll(async () => {
    await start();
    const body = { setup_token: manager.setupToken ?? '', name: 'bench' };
    const made = await callRoute(url, 'setup.finish', { body }, null);
    admin = (made.body as { secret: string }).secret;
    const invited: { secret: string } = await call('invitations.create' as never, {
      body: { note: 'Ann', super_admin: true },
    });
    const person = { login: 'ann', name: 'Ann Lee', password: PASSWORD, as: 'token' };
    await callRoute(
      url,
      'invitations.accept',
      { body: { secret: invited.secret, ...person } },
      null,
    );
    const api = {
      url,
      admin,
      call: (name: never, given: object) => callRoute(url, name, given, admin),
    };
    for (const [index, version] of ['1.0.0', '1.1.0', '1.2.0', '1.3.0'].entries()) {
      const key = makeSigningKey();
      await publish(api as never, { folder: dir.path, version, sequence: index + 1, key });
    }
    await fill(manager.app.get(Database));
    // What lists are filtered by is worked out at the start.
    await manager.stop();
    await start();
    await eventually(async () => {
      const { total } = await call('nodes.list' as never, {
        query: { total: true, version: '1.0.0', limit: 1 },
      });
      return total > NODES / 4;
    });
    browser = await startBrowser(url);
    await signIn(await browser.open());
  }, 600_000);
  afterAll(async () => {
    await browser.close();
    await manager.stop();
    dir.remove();
  });

  it('sends little at first', () => {
    const assets = join(CONSOLE_DIR, 'assets');
    const page = readFileSync(join(CONSOLE_DIR, 'index.html'), 'utf8');
    const first = readdirSync(assets).filter((name) => page.includes(name) && name.endsWith('.js'));
    const sizes = first.map((name) => gzipSync(readFileSync(join(assets, name))).length);
    const sum = sizes.reduce((all, size) => all + size, 0);
    process.stdout.write(
      `| initial JS, gzip | aim 300 kB | ${(sum / 1_000).toFixed(0)} kB in ${sizes.length} files |\n`,
    );
  });

  it('shows the nodes', { timeout: 300_000 }, async () => {
    const paints: number[] = [];
    const answers: number[] = [];
    const direct: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const page = await browser.open();
      const startedAt = performance.now();
      await page.goto('/nodes');
      await page.getByRole('row').nth(5).waitFor();
      paints.push(performance.now() - startedAt);
      const text = `00${(round + 3) * 7}`;
      const askedAt = performance.now();
      await call('nodes.list' as never, { query: { text, limit: 100, total: true } });
      direct.push(performance.now() - askedAt);
      answers.push(await filtered(page, text));
      await page.close();
    }
    say('Nodes: from the address to rows in view', '1000 ms', paints);
    say('Nodes: from the last letter of a filter to its rows', '100 ms', answers);
    compared('Nodes: filter in the page', {
      unit: 'ms',
      baseline: ['the route alone', median(direct)],
      measured: ['with the page', median(answers)],
    });
  });

  it('shows a rollout under a flood', { timeout: 300_000 }, async () => {
    const ids = await call('nodes.list' as never, { query: { limit: 1 } });
    if ((ids as { items: unknown[] }).items.length === 0) throw new Error('no nodes');
    const rollout: { id: string } = await call('rollouts.create' as never, {
      body: {
        product: 'edge',
        version: '1.3.0',
        strategy: 'immediate',
        scope: {
          node_ids: Array.from(
            { length: TARGETS },
            (_, i) => `nod_${String(i + 1).padStart(12, '0')}`,
          ),
        },
      },
    });
    const page = await browser.open();
    await page.goto(`/rollouts/${rollout.id}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await sleep(2_000);
    await page.evaluate(`globalThis.__long = []; new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.__long.push(entry.duration);
    }).observe({ type: 'longtask' });`);
    const sent = await flood(manager, rollout.id);
    const long = await page.evaluate<number[]>('globalThis.__long');
    process.stdout.write(
      `| Rollout of ${TARGETS}: ${sent} events in ${FLOOD_SECONDS} s | aim no task over 50 ms | ` +
        `${long.length} over 50 ms, worst ${Math.max(0, ...long).toFixed(0)} ms, p95 ${quantile(long, 0.95).toFixed(0)} ms |\n`,
    );
    await page.close();
  });
});

/** Milliseconds from the last letter to the first row that fits, as the page itself saw it. */
async function filtered(page: Page, text: string): Promise<number> {
  const field = page.getByRole('searchbox').first();
  await field.fill(text.slice(0, -1));
  await sleep(1_500);
  await page.evaluate(`globalThis.__seen = new Promise((resolve) => {
    const fits = () => {
      const rows = [...document.querySelectorAll('[role=row]')].slice(1, 6);
      return rows.length > 0 && rows.every((row) => row.textContent.includes(${JSON.stringify(text)}));
    };
    let from = 0;
    document.addEventListener('input', () => { from = performance.now(); }, true);
    const look = () => {
      if (from > 0 && fits()) resolve(performance.now() - from);
      else requestAnimationFrame(look);
    };
    look();
  }); 0`);
  await field.pressSequentially(text.slice(-1));
  return page.evaluate<number>('globalThis.__seen');
}

/** So many events a second, and as many targets that move, as ten thousand busy nodes would bring. */
async function flood(manager: Manager, rolloutId: string): Promise<number> {
  const database = manager.app.get(Database);
  const log = manager.app.get(EventLog);
  const states = ['accepted', 'downloading', 'staged', 'swapping', 'probation', 'succeeded'];
  const perStep = (EVENTS_PER_SECOND * STEP_MS) / 1_000;
  let sent = 0;
  const endsAt = performance.now() + FLOOD_SECONDS * 1_000;
  for (let step = 0; performance.now() < endsAt; step += 1) {
    const startedAt = performance.now();
    const at = Date.now();
    const state = states[Math.floor(step / 10) % states.length] ?? 'staged';
    const first = (step * perStep) % TARGETS;
    await database.transaction(async (tx) => {
      log.append(
        tx,
        Array.from({ length: perStep }, (_, i) => ({
          category: 'upgrade' as const,
          type: 'upgrade_staged' as const,
          severity: 'info' as const,
          nodeId: `nod_${String(first + i + 1).padStart(12, '0')}`,
          groupId: 'grp_default',
          rolloutId,
          message: 'the artifact is staged',
          details: {},
          at,
        })),
      );
      await tx.run(
        `UPDATE rollout_targets SET state = ?, updated_at = ?
         WHERE rollout_id = ? AND node_id > ? AND node_id <= ?`,
        [
          ...[state, at, rolloutId],
          `nod_${String(first).padStart(12, '0')}`,
          `nod_${String(first + perStep).padStart(12, '0')}`,
        ],
      );
      const event = JSON.stringify({ type: 'targets_offered', at, wave: 0 });
      await tx.run(
        `INSERT INTO rollout_journal (rollout_id, position, event)
         SELECT id, journal_length, ? FROM rollouts WHERE id = ?`,
        [event, rolloutId],
      );
      await tx.run('UPDATE rollouts SET journal_length = journal_length + 1 WHERE id = ?', [
        rolloutId,
      ]);
    });
    sent += perStep;
    await sleep(Math.max(0, STEP_MS - (performance.now() - startedAt)));
  }
  return sent;
}

async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await isTrue()) return;
    await sleep(200);
  }
  throw new Error('it did not come true in two minutes');
}
