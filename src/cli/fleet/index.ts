export { createGroup, listGroups } from './groups.js';
export { listNodes, revokeNode, showNode } from './nodes.js';
export { listAudit, listEvents } from './records.js';
export {
  cancelRollout,
  listRollouts,
  listTargets,
  pauseRollout,
  resumeRollout,
  showRollout,
} from './rollouts.js';
export { setup } from './setup.js';
export { createEnrollmentToken, createToken, listTokens, revokeToken } from './tokens.js';
export { upgradeGroup, upgradeNode } from './upgrade.js';
export { watch } from './watch.js';
