import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../../test/support/databases.js';
import { docsMiddleware } from './docs-site.js';
import { readPages } from './pages.js';

describe('the documentation over HTTP', () => {
  const dir = makeTempDir();
  let server: Server;
  let url: string;
  beforeAll(async () => {
    mkdirSync(join(dir.path, 'assets'));
    for (const [name, text] of Object.entries({
      'index.html': 'home',
      'rollouts.html': 'waves',
      '404.html': 'no such page',
      'assets/docs.css': 'body {}',
    })) {
      writeFileSync(join(dir.path, name), text);
    }
    const app = express();
    app.use(docsMiddleware(readPages(dir.path)));
    app.use((_, response) => void response.status(418).end());
    server = createServer(app).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    dir.remove();
  });
  const get = (path: string, init?: RequestInit) =>
    fetch(url + path, { redirect: 'manual', ...init });

  it.each([
    ['/docs/', 200, 'home'],
    ['/docs/rollouts.html', 200, 'waves'],
    ['/docs/rollouts', 200, 'waves'],
    ['/docs/assets/docs.css', 200, 'body {}'],
    ['/docs/nothing.html', 404, 'no such page'],
    ['/docs/..%2f..%2fetc/passwd', 404, 'no such page'],
  ])('answers %s with %i', async (path, status, text) => {
    const answer = await get(path);
    expect([answer.status, await answer.text()]).toEqual([status, text]);
    expect(answer.headers.get('content-security-policy')).toContain("script-src 'self'");
  });

  it('leads to the folder, knows what a reader has, and leaves the rest to others', async () => {
    const home = await get('/docs');
    expect([home.status, home.headers.get('location')]).toEqual([308, '/docs/']);
    const etag = (await get('/docs/')).headers.get('etag') ?? '';
    expect((await get('/docs/', { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await get('/docsy')).status).toBe(418);
    expect((await get('/docs/', { method: 'POST' })).status).toBe(418);
  });
});
