import type { RequestHandler } from 'express';
import { isRead, sendPage, type Pages } from './pages.js';

/** Where the documentation is served. */
const HOME = '/docs/';

/**
 * Serves the documentation at `/docs/`, to anybody: it holds nothing but what is in the repository. What is
 * no page there is told as a page, with 404.
 */
export const docsMiddleware =
  (pages: Pages): RequestHandler =>
  (request, response, next) => {
    const { path } = request;
    if (isRead(request) && path === '/docs') {
      response.status(308).setHeader('Location', HOME).end();
      return;
    }
    const name = path.slice(HOME.length - 1);
    const found = pages.get(name === '/' ? '/index.html' : name) ?? pages.get(`${name}.html`);
    const page = found ?? pages.get('/404.html');
    if (!isRead(request) || !path.startsWith(HOME) || page === undefined) {
      next();
      return;
    }
    const status = found === undefined ? 404 : 200;
    sendPage(request, response, page, { status }).catch(next);
  };
