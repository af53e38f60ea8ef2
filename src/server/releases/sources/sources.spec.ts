import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  aManifest,
  artifactOf,
  sha256Of,
  signedManifest,
} from '../../../../test/support/catalog.js';
import { makeTempDir } from '../../../../test/support/databases.js';
import { startTestManager, type TestManager } from '../../../../test/support/manager.js';
import type { Manifest } from '../../../core/release/index.js';
import { readSourceFile } from './source-file.js';

/** Files of a release folder by name. */
type Files = Record<string, Buffer | string>;

function filesOf(change: Partial<Manifest>, content = `edge ${change.version ?? ''}`): Files {
  const bytes = Buffer.from(content);
  const { manifest, signatures } = signedManifest(
    aManifest({ artifacts: [artifactOf(bytes)], ...change }, bytes),
  );
  return {
    'manifest.json': manifest,
    'manifest.json.release.minisig': signatures[0] ?? '',
    'edge.tar.gz': bytes,
  };
}

/** Serves files by their path, with an ETag on lists; a spec may take over any answer. */
class Web {
  readonly files = new Map<string, Buffer | string>();
  readonly requests: IncomingMessage[] = [];
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  readonly #server: Server = createServer((request, response) => {
    this.requests.push(request);
    if (this.intercept(request, response)) return;
    const body = this.files.get((request.url ?? '').split('?')[0] ?? '');
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    const etag = `"${sha256Of(Buffer.from(body))}"`;
    if (request.headers['if-none-match'] === etag) response.writeHead(304, { etag }).end();
    else response.writeHead(200, { etag }).end(body);
  });

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get url(): string {
    return `http://${this.host}`;
  }
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

describe('the file of sources', () => {
  const dir = makeTempDir();
  const read = (text: string) => {
    const path = join(dir.path, 'sources.toml');
    writeFileSync(path, text);
    return readSourceFile(path);
  };
  it('gives each source with its defaults', () => {
    const sources = read(`
      [[sources]]
      name = "vendor"
      kind = "github"
      repository = "vendor/edge"
      allowed_hosts = ["cdn.example"]
      [[sources]]
      name = "shelf"
      kind = "directory"
      path = "/srv/releases"
      every_minutes = 5
      products = ["edge"]
    `);
    expect(sources).toMatchObject([
      { name: 'vendor', api: 'https://api.github.com', every_minutes: 60 },
      { name: 'shelf', path: '/srv/releases', every_minutes: 5, products: ['edge'] },
    ]);
    expect(readSourceFile(null)).toEqual([]);
  });

  it.each([
    ['[[sources]]\nname = "a"\nkind = "ftp"', /kind/],
    ['[[sources]]\nname = "A b"\nkind = "directory"\npath = "/x"', /name/],
    ['[[sources]]\nname = "a"\nkind = "directory"\npath = "x"', /absolute path/],
    ['[[sources]]\nname = "a"\nkind = "mirror"\nurl = "https://u:p@x.example"', /no login/],
    ['[[sources]]\nname = "a"\nkind = "mirror"\nurl = "https://x.example"\nevry = 1', /evry/],
    [
      '[[sources]]\nname = "a"\nkind = "directory"\npath = "/x"\n'.repeat(2),
      /a name stands there twice/,
    ],
    ['[[', /sources.toml/],
  ])('stops the start when it is wrong: %j', (text, message) => {
    expect(() => read(text)).toThrow(message);
    expect(() => read(text)).toThrow(/^BELLWETHER_SOURCES_FILE: /);
  });
});

describe('a source', () => {
  let web: Web;
  let cdn: Web;
  let dir: ReturnType<typeof makeTempDir>;
  let manager: TestManager | null = null;
  beforeEach(async () => {
    web = await new Web().start();
    cdn = await new Web().start();
    dir = makeTempDir();
  });
  afterEach(async () => {
    await manager?.stop();
    manager = null;
    await web.stop();
    await cdn.stop();
    dir.remove();
  });

  /** A manager that does not look by itself until the first refresh is asked for. */
  const start = async (toml: string): Promise<TestManager> => {
    const file = join(dir.path, 'sources.toml');
    writeFileSync(file, `[[sources]]\nname = "s"\n${toml}\n`);
    manager = await startTestManager({
      BELLWETHER_SOURCES_FILE: file,
      BELLWETHER_ARTIFACT_BYTES_MAX: '1000000',
    });
    return manager;
  };
  const refresh = async (of: TestManager) =>
    (await of.call('sources.refresh', { params: { name: 's' } })).body;
  const versions = async (of: TestManager): Promise<string[]> =>
    (await of.call('releases.list')).body.items
      .map(({ version, channel }) => `${version} ${channel}`)
      .sort();

  const onMirror = (path: string, files: Files): void => {
    for (const [name, body] of Object.entries(files)) web.files.set(`/tree/${path}/${name}`, body);
  };
  const index = (...paths: string[]): void =>
    void web.files.set(
      '/tree/index.json',
      JSON.stringify({
        schema: 'bellwether.mirror.v1',
        releases: paths.map((path) => ({ path, signatures: ['manifest.json.release.minisig'] })),
      }),
    );
  const mirror = (): string => `kind = "mirror"\nurl = "${web.url}/tree"`;

  it('that is a mirror is looked at by itself, pulled from, and not pulled again', async () => {
    onMirror('edge/1.0.0', filesOf({ version: '1.0.0' }));
    onMirror('edge/1.1.0', filesOf({ version: '1.1.0', sequence: 2 }));
    index('edge/1.1.0', 'edge/1.0.0');
    const of = await start(mirror());
    await expect.poll(() => versions(of)).toEqual(['1.0.0 stable', '1.1.0 stable']);
    const list = await of.call('sources.list');
    expect(list.body.items[0]).toMatchObject({
      name: 's',
      kind: 'mirror',
      failures: 0,
      last_result: { ok: true, message: '2 published, 0 refused, 0 unchanged' },
    });
    const status = await of.call('releases.upload_status', {
      params: { digest: sha256Of(Buffer.from('edge 1.0.0')) },
    });
    expect(status.body.complete).toBe(true);
    const audit = await of.call('audit.list', { query: { action: 'release.publish' } });
    expect(audit.body.items[0]).toMatchObject({ actor_kind: 'system', actor_name: 'source s' });
    expect((await refresh(of)).last_result).toMatchObject({
      message: '0 published, 0 refused, 2 unchanged',
    });
    // By the clock an hour later: the tag of the list spares the rest.
    const before = web.requests.length;
    of.clock.advance(3_700_000);
    await expect
      .poll(async () => (await of.call('sources.list')).body.items[0]?.last_result?.message, {
        timeout: 15_000,
      })
      .toBe('nothing has changed since the last look');
    expect(web.requests.slice(before).map(({ url }) => url)).toEqual(['/tree/index.json']);
  });

  it('that is a directory gives folders as pack and sign leave them', async () => {
    const put = (folder: string, files: Files): void => {
      mkdirSync(join(dir.path, 'shelf', folder), { recursive: true });
      for (const [name, body] of Object.entries(files)) {
        writeFileSync(join(dir.path, 'shelf', folder, name), body);
      }
    };
    put('edge/1.0.0', filesOf({ version: '1.0.0', channel: 'dev' }));
    put('edge/1.0.0-stable', filesOf({ version: '1.0.0', sequence: 2 }));
    put('gate', filesOf({ version: '9.0.0', product: 'gate' }));
    const of = await start(
      `kind = "directory"\npath = "${join(dir.path, 'shelf')}"\nproducts = ["edge"]`,
    );
    expect((await refresh(of)).last_result?.ok).toBe(true);
    expect(await versions(of)).toEqual(['1.0.0 dev', '1.0.0 stable']);
    rmSync(join(dir.path, 'shelf'), { recursive: true });
    expect(await refresh(of)).toMatchObject({
      failures: 1,
      last_result: { ok: false, message: expect.stringContaining('cannot be read') as unknown },
    });
  });

  const onGitHub = (releases: readonly { tag: string; files: Files; draft?: boolean }[]): void => {
    const list = releases.map(({ tag, files, draft = false }) => ({
      tag_name: tag,
      draft,
      assets: Object.entries(files).map(([name, body]) => {
        cdn.files.set(`/${tag}/${name}`, body);
        web.files.set(`/api/assets/${tag}/${name}`, body);
        return {
          name,
          url: `${web.url}/api/assets/${tag}/${name}`,
          browser_download_url: `${web.url}/download/${tag}/${name}`,
        };
      }),
    }));
    web.files.set('/repos/vendor/edge/releases', JSON.stringify(list));
    web.intercept = (request, response) => {
      const [, path] = /^\/download(\/.*)$/.exec(request.url ?? '') ?? [];
      if (path === undefined) return false;
      response.writeHead(302, { location: `${cdn.url}${path}` }).end();
      return true;
    };
  };
  const github = (more = ''): string =>
    `kind = "github"\napi = "${web.url}"\nrepository = "vendor/edge"\n${more}`;

  it('that is a repository is followed to the hosts that are allowed', async () => {
    onGitHub([
      { tag: 'v1.1.0', files: filesOf({ version: '1.1.0', sequence: 2 }), draft: true },
      { tag: 'v1.0.0', files: filesOf({ version: '1.0.0' }) },
      { tag: 'docs', files: { 'readme.txt': 'x' } },
    ]);
    const of = await start(github(`allowed_hosts = ["${cdn.host}"]`));
    expect((await refresh(of)).last_result).toMatchObject({ ok: true, refused: [] });
    expect(await versions(of)).toEqual(['1.0.0 stable']);
  });

  it('is not followed to any other host', async () => {
    onGitHub([{ tag: 'v1.0.0', files: filesOf({ version: '1.0.0' }) }]);
    const of = await start(github());
    expect((await refresh(of)).last_result?.refused).toMatchObject([
      { release: 'v1.0.0', code: 'release_source_failed' },
    ]);
    expect(cdn.requests).toHaveLength(0);
    expect(await versions(of)).toEqual([]);
  });

  it('gets its token, and nobody else does', async () => {
    onGitHub([{ tag: 'v1.0.0', files: filesOf({ version: '1.0.0' }) }]);
    writeFileSync(join(dir.path, 'token'), 'ghs_secret\n');
    const more = `token_file = "${join(dir.path, 'token')}"\nallowed_hosts = ["${cdn.host}"]`;
    web.intercept = (request, response) => {
      if (!(request.url ?? '').includes('edge.tar.gz')) return false;
      response.writeHead(302, { location: `${cdn.url}/v1.0.0/edge.tar.gz` }).end();
      return true;
    };
    const of = await start(github(more));
    expect((await refresh(of)).last_result).toMatchObject({ ok: true, refused: [] });
    expect(new Set(web.requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set(['Bearer ghs_secret']),
    );
    expect(cdn.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    expect(JSON.stringify((await of.call('sources.list')).body)).not.toContain('ghs_secret');
  });

  it.each<[string, Files, string]>([
    [
      'a manifest that is none',
      { ...filesOf({ version: '1.0.0' }), 'manifest.json': '{}' },
      'upgrade_manifest_invalid',
    ],
    [
      'a huge manifest',
      { ...filesOf({ version: '1.0.0' }), 'manifest.json': 'x'.repeat(1_100_000) },
      'release_source_failed',
    ],
    [
      'a signature that is none',
      { ...filesOf({ version: '1.0.0' }), 'manifest.json.release.minisig': 'x' },
      'upgrade_signature_invalid',
    ],
    [
      'another artifact',
      { ...filesOf({ version: '1.0.0' }), 'edge.tar.gz': 'edge 9.9.9' },
      'release_digest_mismatch',
    ],
    [
      'an endless artifact',
      { ...filesOf({ version: '1.0.0' }), 'edge.tar.gz': 'x'.repeat(900_000) },
      'payload_too_large',
    ],
    [
      'an artifact above the limit',
      filesOf({ version: '1.0.0' }, 'x'.repeat(1_000_001)),
      'payload_too_large',
    ],
  ])('with %s is refused, and holds no other up', async (_what, files, code) => {
    onMirror('bad', files);
    onMirror('good', filesOf({ version: '1.1.0', sequence: 2 }));
    index('bad', 'good');
    const of = await start(mirror());
    // The look at the start may have published it before this one.
    expect((await refresh(of)).last_result).toMatchObject({
      ok: true,
      refused: [{ release: 'bad', code }],
    });
    expect(await versions(of)).toEqual(['1.1.0 stable']);
    // Mended there, it is taken although the list is the same.
    onMirror('bad', filesOf({ version: '1.0.0' }));
    expect((await refresh(of)).last_result?.refused).toEqual([]);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => boolean]>([
    ['is down', (request) => Boolean(request.socket.destroy())],
    ['answers 500', (_request, response) => Boolean(response.writeHead(500).end())],
    ['answers nonsense', (_request, response) => Boolean(response.end('<html>'))],
    ['has another form', (_request, response) => Boolean(response.end('{"releases":[]}'))],
    [
      'climbs',
      (_request, response) =>
        Boolean(
          response.end(
            '{"schema":"bellwether.mirror.v1","releases":[{"path":"../x","signatures":[]}]}',
          ),
        ),
    ],
    ['is endless', (_request, response) => Boolean(response.end(Buffer.alloc(5_000_000, 'x')))],
    [
      'leads in a circle',
      (request, response) =>
        Boolean(response.writeHead(302, { location: request.url ?? '' }).end()),
    ],
    [
      'leads into a file',
      (_request, response) =>
        Boolean(response.writeHead(302, { location: 'file:///etc/passwd' }).end()),
    ],
  ])('that %s is told so, and is looked at again later and later', async (_what, intercept) => {
    web.intercept = intercept;
    const of = await start(mirror());
    await refresh(of);
    const failures = (await of.call('sources.list')).body.items[0]?.failures ?? 0;
    expect(failures).toBeGreaterThanOrEqual(1);
    const again = await refresh(of);
    expect(again.last_result?.ok).toBe(false);
    expect(again.last_result?.message).toContain('[release_source_failed]');
    expect(again.failures).toBe(failures + 1);
    const waitMs = Date.parse(again.next_at ?? '') - of.clock.now();
    expect(waitMs / 60_000).toBeGreaterThan(2 ** failures - 1);
    expect(waitMs / 60_000).toBeLessThanOrEqual(2 ** failures);
  });

  it('that was yanked here stays so, whatever the source says', async () => {
    onMirror('a', filesOf({ version: '1.0.0' }));
    index('a');
    const of = await start(mirror());
    await refresh(of);
    const [first] = (await of.call('releases.list')).body.items;
    await of.call('releases.yank', { params: { id: first?.id ?? '' }, body: { reason: 'x' } });
    expect((await refresh(of)).last_result?.published).toEqual([]);
    const list = await of.call('releases.list');
    expect(list.body.items.map(({ state }) => state)).toEqual(['yanked']);
  });

  it('is asked by those who publish, and seen by those who see releases', async () => {
    index();
    const of = await start(mirror());
    const viewer = await of.token('viewer', 'grp_default');
    const params = { name: 's' };
    expect((await of.call('sources.list', {}, viewer)).status).toBe(200);
    expect((await of.call('sources.refresh', { params }, viewer)).status).toBe(403);
    const pipeline = await of.token('release');
    expect((await of.call('sources.refresh', { params }, pipeline)).status).toBe(200);
    const none = await of.call('sources.refresh', { params: { name: 'none' } });
    expect([none.status, none.body.code]).toEqual([404, 'not_found']);
  });
});
