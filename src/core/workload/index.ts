export {
  digestIn,
  isOthers,
  toBeJudged,
  wouldAdopt,
  type AskedContainer,
  type AskedPod,
} from './admission.js';
export { helmCommand } from './helm-command.js';
export { helmValues, type HelmValue } from './helm-values.js';
export { isPinned, isSameImage, pinnedImage, readImage, type ImageRef } from './image-ref.js';
export { leaseStep, mayLead, type LeaseMemory, type LeaseStep, type LeaseView } from './lease.js';
export { FEW, keptForMs, type LeavingTimes } from './leaving.js';
export { ANNOTATIONS, MODES, obstacleTo, readOptIn, type Mode, type OptIn } from './opt-in.js';
export { imagePatch, type ImageChange } from './patch.js';
export {
  FRESH_PROGRESS,
  lookedAt,
  standingOf,
  type ProgressLimits,
  type ProgressVerdict,
  type ProgressWatch,
  type Standing,
  type StandingCode,
  type Wanted,
} from './progress.js';
export { archOf, readLabelRules, SEVERAL, topologyOf, type LabelRule } from './topology.js';
export {
  keyOf,
  nameIn,
  WORKLOAD_KINDS,
  type PodView,
  type WorkloadKind,
  type WorkloadName,
  type WorkloadView,
} from './types.js';
export { versionOf, type VersionSource } from './versions.js';
export { mailOf, repositoryPath, unifiedDiff, type FileChange } from './unified-diff.js';
