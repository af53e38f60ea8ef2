export { HttpFetcher } from './http-fetcher.js';
export { Link, type LinkState, type SpooledNodeEvent } from './link.js';
