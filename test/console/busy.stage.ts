import {
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signIn, startBrowser, type Browser } from './browser.js';
import { startStage, type Stage } from './stage.js';

/**
 * The page of a rollout of 50 000 nodes while 10 000 events a second come: how long its tasks are. A real
 * manager serves the page; what would take a fleet of that size is put in on the way.
 */

const NODES = 50_000;
const WAVES = 5;
const EVENTS_A_SECOND = 10_000;
const CHANGES_A_SECOND = 5_000;
const WATCHED_MS = 20_000;
/** As the targets of the project say. */
const LONG_MS = 50;
/** On a machine that others use too, the browser is put aside now and then in the middle of a task. */
const LONG_SHARE_MAX = 0.05;

let stage: Stage;
let front: Server;
let browser: Browser;
let url: string;

beforeAll(async () => {
  stage = await startStage();
  front = createServer(busyFront(stage)).listen(0, '127.0.0.1');
  await once(front, 'listening');
  url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  browser = await startBrowser(url);
});
afterAll(async () => {
  await browser.close();
  front.closeAllConnections();
  front.close();
  await stage.stop();
});

it('has hardly a long task once it is drawn', async () => {
  const page = await browser.open();
  await signIn(page);
  await page.addInitScript(`
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) longTasks.push([startTime, duration]);
    }).observe({ type: 'longtask', buffered: true });
  `);
  await page.goto(`/rollouts/${stage.rollouts.moving}`);
  await page
    .getByRole('application')
    .nth(WAVES - 1)
    .waitFor();
  await page.waitForTimeout(3_000);
  const drawnAt = await page.evaluate<number>('performance.now()');
  await page.waitForTimeout(WATCHED_MS);
  const tasks = await page.evaluate<[number, number][]>('longTasks');
  const events = seen.events;
  const early = tasks.filter(([at]) => at < drawnAt).map(([, ms]) => Math.round(ms));
  const late = tasks.filter(([at]) => at >= drawnAt).map(([, ms]) => Math.round(ms));
  process.stdout.write(
    `${NODES} nodes, ${events} events and ${seen.changes} changed cells in ${WATCHED_MS + 3_000} ms\n` +
      `tasks over ${LONG_MS} ms while it loads: ${early.join(', ') || 'none'}\n` +
      `afterwards: ${late.join(', ') || 'none'}\n`,
  );
  await page.screenshot({ path: `${process.env['BELLWETHER_SCREENS_DIR'] ?? 'screens'}/busy.png` });
  const lateMs = late.reduce((sum, ms) => sum + ms, 0);
  expect(lateMs / WATCHED_MS).toBeLessThan(LONG_SHARE_MAX);
});

const seen = { events: 0, changes: 0 };
const LETTERS = 'poadgwbsssssfri';
const IDS = Array.from({ length: NODES }, (_, i) => `nod_${String(i).padStart(20, '0')}`);

/** Passes everything on to the manager, but for three answers. */
function busyFront(manager: Stage): (incoming: IncomingMessage, answer: ServerResponse) => void {
  return (incoming, answer) => {
    const path = incoming.url ?? '';
    if (path.includes('/events/stream')) {
      stream(answer);
      return;
    }
    if (/\/rollouts\/[^/]+\/cells/.test(path)) {
      cells(path, answer);
      return;
    }
    const isShown = /^\/api\/v1\/rollouts\/[^/]+$/.test(path);
    const target = new URL(path, manager.url);
    const headers = { ...incoming.headers, host: target.host, 'accept-encoding': 'identity' };
    if (incoming.headers.origin !== undefined) {
      Object.assign(headers, { origin: target.origin, referer: target.href });
    }
    const passed = request(target, { method: incoming.method, headers }, (reply) => {
      if (isShown && reply.statusCode === 200) return void grown(reply, answer);
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    incoming.pipe(passed);
  };
}

const json = (answer: ServerResponse, body: unknown): void => {
  answer.writeHead(200, { 'content-type': 'application/json' });
  answer.end(JSON.stringify(body));
};

/** The real rollout, as if it had as many nodes. */
async function grown(reply: IncomingMessage, answer: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of reply) chunks.push(chunk as Buffer);
  const rollout = JSON.parse(Buffer.concat(chunks).toString()) as { waves: object[] };
  const size = NODES / WAVES;
  const waves = Array.from({ length: WAVES }, (_, index) => ({
    ...rollout.waves[0],
    ...{ index, name: `wave ${index + 1}`, size, status: 'open', counts: { pending: size } },
  }));
  json(answer, { ...rollout, waves });
}

function cells(path: string, answer: ServerResponse): void {
  const isWhole = !path.includes('since=');
  const first = Math.floor(Math.random() * (NODES - CHANGES_A_SECOND));
  const ids = isWhole ? IDS : IDS.slice(first, first + CHANGES_A_SECOND);
  if (!isWhole) seen.changes += ids.length;
  const states = Array.from(
    ids,
    () => LETTERS[Math.floor(Math.random() * LETTERS.length)] ?? 'p',
  ).join('');
  const from = isWhole ? 0 : first;
  const waves = ids.map((_, i) => Math.floor(((from + i) / NODES) * WAVES));
  json(answer, { version: Date.now(), whole: isWhole, ids, waves, states, beyond: 0 });
}

/** Events as the manager writes them, in bursts of a twentieth of a second. */
function stream(answer: ServerResponse): void {
  answer.writeHead(200, { 'content-type': 'text/event-stream' });
  let id = 1_000_000;
  const timer = setInterval(() => {
    let text = '';
    for (let i = 0; i < EVENTS_A_SECOND / 20; i += 1) {
      id += 1;
      const event = {
        ...{ id, category: 'upgrade', type: 'upgrade_staged', severity: 'info', version: 1 },
        ...{ node_id: IDS[id % NODES], rollout_id: 'rol_1', group_id: 'grp_default' },
        ...{ occurred_at: new Date().toISOString(), received_at: new Date().toISOString() },
        ...{ message: 'The release is fetched and verified.', error_code: null, details: {} },
      };
      text += `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;
    }
    seen.events += EVENTS_A_SECOND / 20;
    answer.write(text);
  }, 50);
  answer.on('close', () => clearInterval(timer));
}
