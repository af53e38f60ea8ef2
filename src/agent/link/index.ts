export type { IncomingCommand } from './connection.js';
export { HttpFetcher, type FetcherOptions } from './http-fetcher.js';
export { Link, type LinkOptions, type LinkState } from './link.js';
