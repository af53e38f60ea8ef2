export { BlobCollector } from './collector.js';
export { IndexNews } from './index-news.js';
export { Refresher } from './sources/refresher.js';
export { ReleasesModule } from './releases.module.js';
export { Releases } from './releases.js';
export { isYanked, type StoredRelease } from './releases.store.js';
