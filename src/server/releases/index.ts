export { ReleasesModule } from './releases.module.js';
export { Releases } from './releases.js';
export type { StoredRelease } from './releases.store.js';
