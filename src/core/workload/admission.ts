import { readImage } from './image-ref.js';
import { ANNOTATIONS } from './opt-in.js';
import type { WorkloadView } from './types.js';

/** A container of a pod as it is asked for. */
export interface AskedContainer {
  readonly name: string;
  readonly image: string;
}

/** A pod as it is asked for, as far as it matters to who may run what. */
export interface AskedPod {
  readonly namespace: string;
  /** `generateName` with a star where it has no name yet. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The owner that steers it. */
  readonly controller: {
    readonly group: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  } | null;
  readonly isDeleting: boolean;
  /** Of all three lists. */
  readonly containers: readonly AskedContainer[];
}

/**
 * What of a pod has to be judged: all of it when it is made or comes to another owner; else what
 * changed. A pod that goes is let go.
 */
export function toBeJudged(pod: AskedPod, before: AskedPod | null): readonly AskedContainer[] {
  if (pod.isDeleting) return [];
  if (before === null || before.controller?.uid !== pod.controller?.uid) return pod.containers;
  const known = new Map(before.containers.map(({ name, image }) => [name, image]));
  return pod.containers.filter(({ name, image }) => known.get(name) !== image);
}

/** Whether a workload would take up a pod that has no owner. By equality alone: rather one too many. */
export const wouldAdopt = (
  { namespace, selector }: Pick<WorkloadView, 'namespace' | 'selector'>,
  pod: AskedPod,
): boolean => {
  const wanted = Object.entries(selector);
  return (
    namespace === pod.namespace &&
    wanted.length > 0 &&
    wanted.every(([key, value]) => pod.labels[key] === value)
  );
};

const OTHERS_MAX = 16;

/** Whether the workload says that this container is not Bellwether's: `istio-proxy,debugger-*`. */
export function isOthers(
  { annotations }: Pick<WorkloadView, 'annotations'>,
  container: string,
): boolean {
  const named = (annotations[ANNOTATIONS.otherContainers] ?? '').split(',').slice(0, OTHERS_MAX);
  return named
    .map((text) => text.trim())
    .some((text) =>
      text.endsWith('*')
        ? text.length > 1 && container.startsWith(text.slice(0, -1))
        : text === container,
    );
}

/** The digest (hex) that an image text names, or what is wrong with the text. */
export function digestIn(
  image: string,
): { readonly sha256: string } | { readonly problem: string } {
  const read = readImage(image);
  const shown = image.slice(0, 300);
  if (read === null) return { problem: `"${shown}" is no image with a sha256 digest` };
  if (read.digest !== null) return { sha256: read.digest.slice('sha256:'.length) };
  return {
    problem:
      `${shown} is named by its tag, which can be moved; ` +
      `write ${read.reference}@sha256:… with the digest of a published release`,
  };
}
