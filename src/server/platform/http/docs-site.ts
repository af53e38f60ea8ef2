import type { NextFunction, Request, Response } from 'express';
import { CONSOLE_POLICY, sendPage, type Page } from './console.js';

/** Where the documentation is served. */
const HOME = '/docs/';

/**
 * Serves the documentation at `/docs/`, to anybody: it holds nothing but what is in the repository. What is
 * no page there is told as a page, with 404.
 */
export function docsMiddleware(
  pages: ReadonlyMap<string, Page>,
): (request: Request, response: Response, next: NextFunction) => void {
  return (request, response, next) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isRead || (request.path !== '/docs' && !request.path.startsWith(HOME))) {
      next();
      return;
    }
    if (request.path === '/docs') {
      response.status(308).setHeader('Location', HOME).end();
      return;
    }
    const name = request.path.slice(HOME.length - 1);
    const found = pages.get(name === '/' ? '/index.html' : name) ?? pages.get(`${name}.html`);
    const page = found ?? pages.get('/404.html');
    if (page === undefined) {
      next();
      return;
    }
    response.setHeader('Content-Security-Policy', CONSOLE_POLICY);
    response.setHeader('Content-Type', page.type);
    response.setHeader('ETag', page.etag);
    response.setHeader('Cache-Control', 'no-cache');
    if (found !== undefined && request.headers['if-none-match'] === page.etag) {
      response.status(304).end();
      return;
    }
    response.status(found === undefined ? 404 : 200);
    sendPage(request, response, page);
  };
}
