export { ask, bytesOf, type Asking } from './ask.js';
export type { IncomingCommand } from './connection.js';
export { HttpFetcher, type FetcherOptions } from './http-fetcher.js';
export { Link, type LinkOptions, type LinkNews, type LinkState } from './link.js';
export { agentFor, pinOf, type Reach } from './reach.js';
export { MANAGER_ONLY, type Delivery } from './sources.js';
export type { Transport } from './carrier.js';
export type { Way } from './ways.js';
