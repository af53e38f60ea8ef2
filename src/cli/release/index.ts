export { announce, downgradePermit, index, policyUpdate, revoke } from './documents.js';
export { init } from './init.js';
export { keygen } from './keygen.js';
export { list } from './list.js';
export { pack } from './pack.js';
export { publish } from './publish.js';
export { sign } from './sign.js';
export { verify } from './verify.js';
export { verifyBundle } from './verify-bundle.js';
