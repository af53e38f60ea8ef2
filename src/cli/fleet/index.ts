export { freezeGroup, listFreezes, switchGroup, thawGroup } from './circumstances.js';
export {
  createGroup,
  listGroups,
  moveGroup,
  removeGroup,
  renameGroup,
  setQuota,
  showGroup,
} from './groups.js';
export { listNodes, revokeNode, showNode, transferNodes } from './nodes.js';
export { previewRollout } from './preview.js';
export { enroll } from './enroll.js';
export { listAudit } from './records.js';
export { listRings, showRing, startRing } from './rings.js';
export { reportRollout, whyNode } from './report.js';
export { listRollouts, listTargets, showRollout } from './rollouts.js';
export { setup } from './setup.js';
export {
  approveWave,
  breakGlass,
  cancelRollout,
  markDone,
  markRolledBack,
  pauseRollout,
  resumeRollout,
  retryFailed,
  revertRollout,
  skipWave,
  startWave,
} from './steering.js';
export { createClusterToken, listClusterTokens, revokeClusterToken } from './cluster-tokens.js';
export {
  createEnrollmentToken,
  createToken,
  listTokens,
  revokeToken,
  rotateToken,
  showToken,
} from './tokens.js';
export { createRollout, upgradeGroup, upgradeNode } from './upgrade.js';
export { watch } from './watch.js';
export { planProblems, type Problem } from './plan-file.js';
export { readTerms, TERMS_OPTIONS, type RolloutBody } from './plan-options.js';
