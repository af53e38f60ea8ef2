import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTempDir, silentLog } from '../../../../test/support/databases.js';
import { makeClock } from '../../../../test/support/manager.js';
import { startManager, type Manager } from '../../manager.js';
import { loadConfig } from '../config/index.js';

const POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:",
  "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'",
  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
].join('; ');
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'";

describe('the console', () => {
  const dirs = [makeTempDir(), makeTempDir()] as const;
  let manager: Manager;
  let url: string;
  beforeAll(async () => {
    const [data, pages] = dirs;
    mkdirSync(join(pages.path, 'assets'));
    const files = {
      'index.html': '<!doctype html><title>Bellwether</title><script src="/assets/a.js"></script>',
      'assets/a.js': 'document.title = "ready";',
      '.env': 'SECRET=1',
      'notes.md': 'not for the world',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(pages.path, name), text);
    writeFileSync(join(data.path, 'outside.js'), 'outside');
    symlinkSync(join(data.path, 'outside.js'), join(pages.path, 'link.js'));
    const env = { BELLWETHER_DATA_DIR: data.path, BELLWETHER_PORT: '0' };
    const consoleDir = pages.path;
    const config = loadConfig(env);
    manager = await startManager({ config, log: silentLog, clock: makeClock(), consoleDir });
    url = manager.config.publicUrl;
  });
  afterAll(async () => {
    await manager.stop();
    for (const dir of dirs) dir.remove();
  });

  /** The path goes out as it stands here; `fetch` would tidy it. */
  const raw = (path: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      get(`${url}/`, { path }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      }).on('error', reject);
    });

  it('comes with a policy that runs nothing but its own scripts, in no frame', async () => {
    for (const path of ['/', '/index.html', '/rollouts/rol_1', '/assets/a.js']) {
      const { status, headers } = await fetch(url + path);
      expect([path, status]).toEqual([path, 200]);
      expect(headers.get('content-security-policy')).toBe(POLICY);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
    const page = await fetch(`${url}/groups`);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await page.text()).toContain('<title>Bellwether</title>');
  });

  it('is asked for anew each time, but for what never changes', async () => {
    const page = await fetch(url);
    expect(page.headers.get('cache-control')).toBe('no-cache');
    const etag = page.headers.get('etag') ?? '';
    const again = await fetch(url, { headers: { 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const asset = await fetch(`${url}/assets/a.js`);
    expect(asset.headers.get('cache-control')).toContain('immutable');
    const head = await fetch(`${url}/assets/a.js`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('goes out in fewer bytes to whoever can unpack them', async () => {
    const sent = async (encoding: string): Promise<readonly [string | null, string]> => {
      const headers = { 'accept-encoding': encoding };
      const { headers: told, body } = await new Promise<IncomingMessage & { body: Buffer }>(
        (resolve, reject) => {
          get(`${url}/assets/a.js`, { headers }, (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.on('end', () => {
              resolve(Object.assign(response, { body: Buffer.concat(chunks) }));
            });
          }).on('error', reject);
        },
      );
      const how = told['content-encoding'] ?? null;
      expect(told.vary).toContain('Accept-Encoding');
      const unpack = { br: brotliDecompressSync, gzip: gunzipSync }[how ?? ''];
      return [how, (unpack?.(body) ?? body).toString()];
    };
    const script = 'document.title = "ready";';
    expect(await sent('gzip, deflate, br')).toEqual(['br', script]);
    expect(await sent('gzip')).toEqual(['gzip', script]);
    expect(await sent('identity')).toEqual([null, script]);
  });

  it('leaves what belongs to programs alone: wrong paths there are data', async () => {
    for (const path of ['/api/v1/nowhere', '/node/v1/nowhere', '/healthz', '/metrics', '/api']) {
      const { headers } = await fetch(url + path);
      expect(headers.get('content-security-policy')).toBe(DATA_POLICY);
      expect(headers.get('content-type')).toMatch(/json/);
    }
    expect((await fetch(url, { method: 'POST' })).status).toBe(404);
  });

  it.each([
    '/.env',
    '/notes.md',
    '/link.js',
    '/nowhere.js',
    '/../outside.js',
    '/assets/../../outside.js',
    '/%2e%2e/outside.js',
    '/..%2foutside.js',
    '/assets/a.js%00.png',
  ])('has no %s', async (path) => {
    const { status, text } = await raw(path);
    expect([400, 404]).toContain(status);
    expect(text).not.toMatch(/outside$|SECRET=|not for the world/);
  });
});
