import { createReadStream, readFileSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { MANIFEST_BYTES_MAX, SIGNATURE_BYTES_MAX } from '../../../core/release/index.js';
import { BoundedHttp } from './bounded-http.js';
import {
  CANDIDATES_MAX,
  MANIFEST_FILE,
  SIGNATURE_FILE,
  SIGNATURES_MAX,
  sourceFailed,
  type Candidate,
  type Look,
  type SourceReader,
} from './reader.port.js';
import type { HttpSource, Source } from './source-file.js';

/** 4 MiB: fifty releases with a hundred files each stay below it. */
const LIST_BYTES_MAX = 4 * 1024 * 1024;
/** Folders looked at in a directory. */
const FOLDERS_MAX = 2_000;

/** A path inside a mirror: names and slashes, nothing that climbs. */
const MirrorPath = z
  .string()
  .max(500)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._+@-]*(\/[A-Za-z0-9][A-Za-z0-9._+@-]*)*$/);
const MirrorIndex = z.object({
  schema: z.literal('bellwether.mirror.v1'),
  releases: z
    .array(
      z.object({
        path: MirrorPath,
        signatures: z.array(z.string().regex(SIGNATURE_FILE)).max(SIGNATURES_MAX),
      }),
    )
    .max(10_000),
});
const GitHubReleases = z
  .array(
    z.object({
      tag_name: z.string().max(300),
      draft: z.boolean().default(false),
      assets: z
        .array(
          z.object({
            name: z.string().max(300),
            url: z.string().max(2_048),
            browser_download_url: z.string().max(2_048),
          }),
        )
        .max(1_000),
    }),
  )
  .max(100);

/** Gives the reader of a source. Throws what reading its token throws. */
export function readerOf(source: Source): SourceReader {
  if (source.kind === 'directory') return new DirectoryReader(source.path);
  const token =
    source.token_file === undefined ? null : readFileSync(source.token_file, 'utf8').trim();
  return source.kind === 'mirror'
    ? new MirrorReader(source.url, httpOf(source, source.url, token))
    : new GitHubReader(source, httpOf(source, source.api, token), token !== null);
}

const httpOf = (source: HttpSource, base: string, token: string | null): BoundedHttp =>
  new BoundedHttp({ base, allowedHosts: source.allowed_hosts, token });

/** A list with the tag that it came with; null when it is as it was. */
async function listOf<T extends z.ZodType>(
  http: BoundedHttp,
  url: string,
  { etag, signal, schema }: { etag: string | null; signal: AbortSignal; schema: T },
): Promise<{ readonly list: z.output<T>; readonly etag: string | null } | null> {
  const answer = await http.whole(url, {
    bytesMax: LIST_BYTES_MAX,
    signal,
    headers: etag === null ? {} : { 'if-none-match': etag },
  });
  if (answer === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(answer.bytes.toString('utf8'));
  } catch (error) {
    throw sourceFailed(`${url} is not JSON`, error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { list: parsed.data, etag: answer.etag };
  const where = parsed.error.issues.slice(0, 3).map(({ path }) => path.join('.') || 'the list');
  throw sourceFailed(`${url} has another form than expected at ${where.join(', ')}`);
}

const textsOf = async (
  http: BoundedHttp,
  urls: readonly string[],
  signal: AbortSignal,
): Promise<string[]> => {
  const texts: string[] = [];
  for (const url of urls.slice(0, SIGNATURES_MAX)) {
    const answer = await http.whole(url, { bytesMax: SIGNATURE_BYTES_MAX, signal });
    texts.push(answer?.bytes.toString('utf8') ?? '');
  }
  return texts;
};

const manifestAt = async (http: BoundedHttp, url: string, signal: AbortSignal): Promise<Buffer> =>
  (await http.whole(url, { bytesMax: MANIFEST_BYTES_MAX, signal }))?.bytes ?? Buffer.alloc(0);

/** `index.json` names folders as `pack` and `sign` leave them, newest first. */
class MirrorReader implements SourceReader {
  readonly #url: string;
  readonly #http: BoundedHttp;

  constructor(url: string, http: BoundedHttp) {
    this.#url = url;
    this.#http = http;
  }

  async look(etag: string | null, signal: AbortSignal): Promise<Look> {
    const wanted = { etag, signal, schema: MirrorIndex };
    const found = await listOf(this.#http, `${this.#url}/index.json`, wanted);
    if (found === null) return { candidates: null, etag };
    const candidates = found.list.releases.slice(0, CANDIDATES_MAX).map((release): Candidate => {
      const folder = `${this.#url}/${release.path}`;
      const http = this.#http;
      return {
        name: release.path,
        manifest: () => manifestAt(http, `${folder}/${MANIFEST_FILE}`, signal),
        signatures: () =>
          textsOf(
            http,
            release.signatures.map((file) => `${folder}/${file}`),
            signal,
          ),
        artifact: (file) => http.stream(`${folder}/${encodeURIComponent(file)}`, { signal }),
      };
    });
    return { candidates, etag: found.etag };
  }
}

/** Releases of a repository; their assets are the files of a release folder. */
class GitHubReader implements SourceReader {
  readonly #list: string;
  readonly #http: BoundedHttp;
  readonly #isPrivate: boolean;

  constructor(source: Extract<Source, { kind: 'github' }>, http: BoundedHttp, isPrivate: boolean) {
    this.#list = `${source.api}/repos/${source.repository}/releases?per_page=${CANDIDATES_MAX}`;
    this.#http = http;
    this.#isPrivate = isPrivate;
  }

  async look(etag: string | null, signal: AbortSignal): Promise<Look> {
    const found = await listOf(this.#http, this.#list, { etag, signal, schema: GitHubReleases });
    if (found === null) return { candidates: null, etag };
    const candidates = found.list
      .filter(({ draft, assets }) => !draft && assets.some((one) => one.name === MANIFEST_FILE))
      .slice(0, CANDIDATES_MAX)
      .map(({ tag_name: name, assets }) => this.#candidate(name, assets, signal));
    return { candidates, etag: found.etag };
  }

  #candidate(
    name: string,
    assets: z.infer<typeof GitHubReleases>[number]['assets'],
    signal: AbortSignal,
  ): Candidate {
    const http = this.#http;
    // What is not public is had through the API alone.
    const urlOf = (file: string): string => {
      const asset = assets.find((one) => one.name === file);
      if (asset === undefined) throw sourceFailed(`${name} has no file ${file}`);
      return this.#isPrivate ? asset.url : asset.browser_download_url;
    };
    const headers = { accept: 'application/octet-stream' };
    const signatures = assets.map((one) => one.name).filter((file) => SIGNATURE_FILE.test(file));
    return {
      name,
      manifest: async () => {
        const bounds = { bytesMax: MANIFEST_BYTES_MAX, signal, headers };
        return (await http.whole(urlOf(MANIFEST_FILE), bounds))?.bytes ?? Buffer.alloc(0);
      },
      signatures: async () => {
        const texts: string[] = [];
        for (const file of signatures.slice(0, SIGNATURES_MAX)) {
          const bounds = { bytesMax: SIGNATURE_BYTES_MAX, signal, headers };
          texts.push((await http.whole(urlOf(file), bounds))?.bytes.toString('utf8') ?? '');
        }
        return texts;
      },
      artifact: async (file) => http.stream(urlOf(file), { signal, headers }),
    };
  }
}

/** Folders as `pack` and `sign` leave them, up to three below each other. */
class DirectoryReader implements SourceReader {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async look(): Promise<Look> {
    let folders: string[];
    try {
      folders = await releaseFolders(this.#path, 3);
    } catch (error) {
      throw sourceFailed(`${this.#path} cannot be read`, error);
    }
    const candidates = folders.map((folder): Candidate => {
      const path = join(this.#path, folder);
      return {
        name: folder,
        manifest: () => small(join(path, MANIFEST_FILE), MANIFEST_BYTES_MAX),
        signatures: async () => {
          const files = (await readdir(path)).filter((file) => SIGNATURE_FILE.test(file)).sort();
          const read = async (file: string): Promise<string> =>
            (await small(join(path, file), SIGNATURE_BYTES_MAX)).toString('utf8');
          return Promise.all(files.slice(0, SIGNATURES_MAX).map(read));
        },
        artifact: async (file) => createReadStream(join(path, file)),
      };
    });
    return { candidates, etag: null };
  }
}

async function releaseFolders(root: string, depth: number, below = ''): Promise<string[]> {
  const entries = await readdir(join(root, below), { withFileTypes: true });
  if (entries.some((entry) => entry.isFile() && entry.name === MANIFEST_FILE)) return [below];
  const found: string[] = [];
  if (depth === 0) return found;
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    if (found.length >= FOLDERS_MAX) break;
    found.push(...(await releaseFolders(root, depth - 1, join(below, name))));
  }
  return found.sort().reverse();
}

async function small(path: string, bytesMax: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > bytesMax) throw sourceFailed(`${path} is larger than ${bytesMax} bytes`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
