import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Request, Response } from 'express';

/**
 * What a page of ours may do: run our own scripts, show our own styles and pictures, talk to us. No inline
 * script, no `eval`, no text that becomes markup by accident (Trusted Types, and nobody may make a
 * policy for them), nothing from or to elsewhere, in no frame.
 */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** The console and the documentation are smaller; more than this is another folder. */
const FILES_MAX = 1_000;
const BYTES_MAX = 64 * 1024 * 1024;

/** What is not in here is not served. */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};
/** Pictures and fonts are packed already. */
const PACKED_ALREADY = /^(image\/(png|x-icon)|font\/)/;

/** The better one first: browsers take Brotli over TLS, and gzip from anywhere. */
const PACKINGS = ['br', 'gzip'] as const;
type Packing = (typeof PACKINGS)[number];

const brotli = promisify<Buffer, object, Buffer>(brotliCompress);
const PACK: Readonly<Record<Packing, (body: Buffer) => Promise<Buffer>>> = {
  // A tenth of a second for a megabyte; two levels more take ten times as long for a twentieth less.
  br: (body) => brotli(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 8 } }),
  gzip: promisify<Buffer, Buffer>(gzip),
};

/** One file: in memory, and in fewer bytes from the first time somebody asks for it so. */
export class Page {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
  readonly #packed = new Map<Packing, Promise<Buffer>>();

  constructor(type: string, body: Buffer) {
    this.type = type;
    this.body = body;
    this.etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
  }

  /** Null when there is nothing to be gained. */
  packed(packing: Packing): Promise<Buffer> | null {
    if (PACKED_ALREADY.test(this.type)) return null;
    let packed = this.#packed.get(packing);
    if (packed === undefined) {
      packed = PACK[packing](this.body);
      this.#packed.set(packing, packed);
    }
    return packed;
  }
}

export type Pages = ReadonlyMap<string, Page>;

/**
 * The files of a folder by path, read once: a path is looked up among them and never opened, so none leads
 * out of the folder. Empty when there is no such folder. Links, dot files and other kinds are left out.
 */
export function readPages(folder: string): Pages {
  const pages = new Map<string, Page>();
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return pages;
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = `/${relative(folder, path).split(sep).join('/')}`;
    const type = TYPES[extname(entry.name)];
    if (!entry.isFile() || type === undefined || name.includes('/.')) continue;
    const body = readFileSync(path);
    bytes += body.length;
    if (pages.size >= FILES_MAX || bytes > BYTES_MAX) {
      const most = `more than ${FILES_MAX} files or ${BYTES_MAX} bytes`;
      throw new Error(`${folder} holds no pages of ours: ${most}`);
    }
    pages.set(name, new Page(type, body));
  }
  return pages;
}

export interface PageTelling {
  readonly status?: number;
  readonly cache?: string;
}

/** Sends a page, in the fewest bytes that the reader can unpack; nothing to whoever has it already. */
export async function sendPage(
  request: Request,
  response: Response,
  page: Page,
  { status = 200, cache = 'no-cache' }: PageTelling = {},
): Promise<void> {
  response.setHeader('Content-Security-Policy', PAGE_POLICY);
  response.setHeader('Content-Type', page.type);
  response.setHeader('ETag', page.etag);
  response.setHeader('Cache-Control', cache);
  response.vary('Accept-Encoding');
  if (status === 200 && request.headers['if-none-match'] === page.etag) {
    response.status(304).end();
    return;
  }
  const packing = PACKINGS.find((one) => request.acceptsEncodings(one) === one);
  const packed = packing === undefined ? null : await page.packed(packing);
  if (packing !== undefined && packed !== null) response.setHeader('Content-Encoding', packing);
  const body = packed ?? page.body;
  response.status(status).setHeader('Content-Length', body.length);
  response.end(request.method === 'HEAD' ? undefined : body);
}

export const isRead = ({ method }: Request): boolean => method === 'GET' || method === 'HEAD';
