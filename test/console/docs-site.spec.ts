import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriousFindings, startBrowser, type Browser } from './browser.js';

/** The documentation, as `npm run build` leaves it and the manager serves it at `/docs/`, before axe. */

const SITE = fileURLToPath(new URL('../../dist/docs', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};
/** One of each kind: start, running text with commands, tables, what is generated, and what is not there. */
const PAGES = ['', 'quick-start', 'trust', 'errors', 'api', 'cli', '404'];

let server: Server;
let url = '';
beforeAll(async () => {
  server = createServer((asked, answer) => {
    const name = new URL(asked.url ?? '/', 'http://docs').pathname.replace(/^\/docs\//, '');
    const path = join(SITE, extname(name) === '' ? `${name || 'index'}.html` : name);
    if (!existsSync(path)) return void answer.writeHead(404).end();
    answer.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'text/plain' });
    answer.end(readFileSync(path));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe.each([
  ['light', 1440],
  ['dark', 380],
] as const)('the documentation, %s and %s px wide', (colorScheme, width) => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser(url, { colorScheme, width });
  });
  afterAll(() => browser.close());

  it.each(PAGES)('/docs/%s keeps nobody out', async (name) => {
    const page = await browser.open();
    await page.goto(`/docs/${name}`);
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    const wider = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    expect(wider).toBeLessThanOrEqual(0);
    expect(browser.errors.splice(0)).toEqual([]);
    await page.close();
  });
});
