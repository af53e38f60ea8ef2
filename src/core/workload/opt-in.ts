import { refuse, ok, type Refusal, type Result } from '../kernel/index.js';
import type { WorkloadView } from './types.js';

const PREFIX = 'bellwether.dev/';
export const ANNOTATIONS = {
  /** Whoever has it takes part; the product whose releases it runs. */
  product: `${PREFIX}product`,
  container: `${PREFIX}container`,
  variant: `${PREFIX}variant`,
  mode: `${PREFIX}mode`,
  /** `true`: the workload is left as it is, whatever is asked for. */
  skip: `${PREFIX}skip-reconcile`,
  helmChart: `${PREFIX}helm-chart`,
  helmSet: `${PREFIX}helm-set`,
  /** Which file of the repository is written for GitOps. */
  gitopsPath: `${PREFIX}gitops-path`,
  /** Containers that the admission webhook leaves alone: names with commas between, a star at the end. */
  otherContainers: `${PREFIX}other-containers`,
  /** Written by the operator, with the image: which version that is. */
  version: `${PREFIX}version`,
  /** Written by the operator, with the image: the image that it took the place of. */
  previousImage: `${PREFIX}previous-image`,
} as const;

/** `operator` changes the image itself; `gitops` writes a file for others; `signal` only says so. */
export const MODES = ['operator', 'signal', 'gitops'] as const;
export type Mode = (typeof MODES)[number];

/** What the annotations of a workload say. */
export interface OptIn {
  readonly product: string;
  readonly variant: string;
  readonly container: string;
  readonly mode: Mode;
  readonly isSkipped: boolean;
}

type Read = Result<OptIn, Refusal<'workload_unsupported'>>;
const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const VARIANT = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const bad = (message: string): Read => refuse('workload_unsupported', message);

/** Null: it does not take part. A refusal: it wants to, and how is not clear. */
export function readOptIn(workload: WorkloadView, usualMode: Mode): Read | null {
  const { annotations } = workload;
  const product = annotations[ANNOTATIONS.product];
  if (product === undefined) return null;
  if (!NAME.test(product)) return bad(`${ANNOTATIONS.product} is no name of a product`);
  const variant = annotations[ANNOTATIONS.variant] ?? 'default';
  if (!VARIANT.test(variant)) return bad(`${ANNOTATIONS.variant} is no name of a variant`);
  const mode = annotations[ANNOTATIONS.mode] ?? usualMode;
  if (!isMode(mode)) return bad(`${ANNOTATIONS.mode} is none of ${MODES.join(', ')}`);
  const container = containerOf(workload);
  if (container === null) {
    const names = workload.containers.map(({ name }) => name).join(', ');
    return bad(`${ANNOTATIONS.container} names none of the containers ${names}`);
  }
  const isSkipped = annotations[ANNOTATIONS.skip] === 'true';
  return ok({ product, variant, container, mode, isSkipped });
}

const isMode = (text: string): text is Mode => (MODES as readonly string[]).includes(text);

/** The one that is named, or the only one there is. */
function containerOf({ annotations, containers }: WorkloadView): string | null {
  const named = annotations[ANNOTATIONS.container];
  if (named === undefined) return containers.length === 1 ? (containers[0]?.name ?? null) : null;
  return containers.some(({ name }) => name === named) ? named : null;
}

/** Why a workload cannot be upgraded as it stands; null when it can. */
export function obstacleTo(workload: WorkloadView): string | null {
  if (workload.isDeleting) return 'it is being deleted';
  if (workload.isPaused) return 'it is paused: `kubectl rollout resume` lets it go on';
  if (workload.updateStrategy === 'OnDelete') return 'its update strategy is OnDelete';
  if (workload.partition > 0) return `its rolling update ends at partition ${workload.partition}`;
  // Nothing would run, so nothing would be seen.
  return workload.wanted === 0 ? 'it has no pods: no news is not good news' : null;
}
