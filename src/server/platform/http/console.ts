import { extname } from 'node:path';
import type { RequestHandler } from 'express';
import { isRead, sendPage, type Pages } from './pages.js';

/** What belongs to programs: there a wrong path is told as data, and never as a page. */
const OF_PROGRAMS = /^\/(api|node|healthz|link|metrics)(\/|$)/;
/** The names of these change with what is in them. */
const HASHED = /^\/assets\//;
const FOR_EVER = 'public, max-age=31536000, immutable';

/**
 * Serves the console at `/`, to anybody: it holds no data. A path of it that is no file, such as
 * `/rollouts/rol_…`, is its start page. What belongs to programs is passed on.
 */
export const consoleMiddleware =
  (pages: Pages): RequestHandler =>
  (request, response, next) => {
    const { path } = request;
    // `/.env` has no extension, and is no page.
    const isPage = extname(path) === '' && !path.includes('/.');
    const page = pages.get(isPage ? '/index.html' : path);
    if (!isRead(request) || OF_PROGRAMS.test(path) || page === undefined) {
      next();
      return;
    }
    const telling = HASHED.test(path) && !isPage ? { cache: FOR_EVER } : {};
    sendPage(request, response, page, telling).catch(next);
  };
