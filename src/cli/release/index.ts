export {
  announce,
  downgradePermit,
  index,
  listDocuments,
  policyUpdate,
  revoke,
} from './documents.js';
export { init } from './init.js';
export { keygen } from './keygen.js';
export { list } from './list.js';
export { pack } from './pack.js';
export { publish } from './publish.js';
export { promote } from './promote.js';
export { diffReleases, schema, showRelease } from './show.js';
export { sign } from './sign.js';
export { listSources, refreshSource } from './sources.js';
export { groupUpgrades, nodeUpgrades } from './upgrades.js';
export { verify } from './verify.js';
export { verifyBundle } from './verify-bundle.js';
export { collect, yank } from './yank.js';
