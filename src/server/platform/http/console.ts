import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { NextFunction, Request, Response } from 'express';

/**
 * What a page of ours may do: run our own scripts, show our own styles and pictures, talk to us. No inline
 * script, no `eval`, no text that becomes markup by accident (Trusted Types, and nobody may make a
 * policy for them), nothing from or to elsewhere, in no frame.
 */
export const CONSOLE_POLICY = [
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

/** A console is smaller; more than this is another folder. */
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
/** What belongs to programs: there a wrong path is told as data, and never as a page. */
const OF_PROGRAMS = /^\/(api|node|healthz|link|metrics)(\/|$)/;
/** The names of these change with what is in them. */
const HASHED = /^\/assets\//;

/** Pictures and fonts are packed already. */
const PACKS = new Set(['.html', '.js', '.css', '.json', '.svg', '.txt']);
/** A tenth of a second for a megabyte, at the start, once; two levels more take ten times as long for a twentieth less. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 8 } };

export interface Page {
  readonly type: string;
  readonly body: Buffer;
  /** The same in fewer bytes: browsers take Brotli over TLS, and gzip from anywhere. */
  readonly packed: Readonly<Record<Packing, Buffer>> | null;
  readonly etag: string;
}

/** The better one first. */
const PACKINGS = ['br', 'gzip'] as const;
type Packing = (typeof PACKINGS)[number];
const packedOf = (body: Buffer, extension: string): Page['packed'] =>
  PACKS.has(extension) ? { br: brotliCompressSync(body, BROTLI), gzip: gzipSync(body) } : null;

/**
 * The files of the console, read once: a path is looked up among them and never opened, so none leads
 * out of the folder. Empty when there is no console. Links, dot files and other kinds are left out.
 */
export function readConsole(folder: string): ReadonlyMap<string, Page> {
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
      throw new Error(
        `${folder} is no console: more than ${FILES_MAX} files or ${BYTES_MAX} bytes`,
      );
    }
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
    pages.set(name, { type, body, packed: packedOf(body, extname(entry.name)), etag });
  }
  return pages;
}

/**
 * Serves the console at `/`, to anybody: it holds no data. A path of it that is no file, such as
 * `/rollouts/rol_…`, is its start page. What belongs to programs is passed on.
 */
export function consoleMiddleware(
  pages: ReadonlyMap<string, Page>,
): (request: Request, response: Response, next: NextFunction) => void {
  return (request, response, next) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isRead || OF_PROGRAMS.test(request.path)) {
      next();
      return;
    }
    // `/.env` has no extension, and is no page.
    const isPage = extname(request.path) === '' && !request.path.includes('/.');
    const page = pages.get(isPage ? '/index.html' : request.path);
    if (page === undefined) {
      next();
      return;
    }
    response.setHeader('Content-Security-Policy', CONSOLE_POLICY);
    response.setHeader('Content-Type', page.type);
    response.setHeader('ETag', page.etag);
    const isFixed = HASHED.test(request.path) && !isPage;
    response.setHeader(
      'Cache-Control',
      isFixed ? 'public, max-age=31536000, immutable' : 'no-cache',
    );
    if (request.headers['if-none-match'] === page.etag) {
      response.status(304).end();
      return;
    }
    sendPage(request, response, page);
  };
}

/** In the fewest bytes that the reader can unpack. */
export function sendPage(request: Request, response: Response, page: Page): void {
  const packing = PACKINGS.find((one) => request.acceptsEncodings(one) === one);
  const packed = packing === undefined ? undefined : page.packed?.[packing];
  const body = packed ?? page.body;
  response.vary('Accept-Encoding');
  if (packing !== undefined && packed !== undefined) {
    response.setHeader('Content-Encoding', packing);
  }
  response.setHeader('Content-Length', body.length);
  response.end(request.method === 'HEAD' ? undefined : body);
}
