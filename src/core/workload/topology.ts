import type { PodView, WorkloadView } from './types.js';

/** Which label of a machine becomes which label of the node. */
export interface LabelRule {
  readonly from: string;
  readonly to: string;
}

/** A value that differs among the machines of one workload. */
export const SEVERAL = 'several';
const VALUE_MAX = 128;
const ARCH_LABEL = 'kubernetes.io/arch';
const ARCHS: Readonly<Record<string, 'x64' | 'arm64'>> = { amd64: 'x64', arm64: 'arm64' };

type MachineLabels = ReadonlyMap<string, Readonly<Record<string, string>>>;

const machinesOf = (pods: readonly PodView[]): readonly string[] => [
  ...new Set(pods.flatMap(({ nodeName, isDeleting }) => (isDeleting ? [] : (nodeName ?? [])))),
];

const oneOf = (values: readonly (string | undefined)[]): string | null => {
  const [first, ...others] = [...new Set(values.filter((value) => value !== undefined))];
  if (first === undefined) return null;
  return others.length === 0 ? first : SEVERAL;
};

/**
 * Where a workload runs, as labels of its node: cluster, install, namespace, kind, workload, machine, and
 * what was chosen of the labels of its machines. A value that differs among them is `several`. Rollouts
 * take any of these as failure domain.
 */
export function topologyOf(
  { cluster, install }: { readonly cluster: string; readonly install: string | null },
  workload: WorkloadView,
  pods: readonly PodView[],
  { machines, rules }: { readonly machines: MachineLabels; readonly rules: readonly LabelRule[] },
): Record<string, string> {
  const names = machinesOf(pods);
  const labels: Record<string, string> = {
    cluster,
    ...(install === null ? {} : { install }),
    namespace: workload.namespace,
    kind: workload.kind.toLowerCase(),
    workload: workload.name,
  };
  const machine = oneOf(names);
  if (machine !== null) labels['machine'] = machine;
  for (const { from, to } of rules) {
    const value = oneOf(names.map((name) => machines.get(name)?.[from]));
    if (value !== null) labels[to] = value;
  }
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [key, value.slice(0, VALUE_MAX)]),
  );
}

/** The one architecture that its pods can run on; null when there may be several, or nobody knows. */
export function archOf(
  workload: WorkloadView,
  pods: readonly PodView[],
  machines: MachineLabels,
): 'x64' | 'arm64' | null {
  const asked = workload.nodeSelector[ARCH_LABEL];
  if (asked !== undefined) return ARCHS[asked] ?? null;
  // Where it happens to run now says nothing of tomorrow, unless all machines are of one kind.
  const all = new Set([...machines.values()].map((labels) => labels[ARCH_LABEL] ?? ''));
  const [only = ''] = all;
  return pods.length > 0 && all.size === 1 ? (ARCHS[only] ?? null) : null;
}

/** `topology.kubernetes.io/zone=zone,example.com/rack`: without `=` the last part is the name. */
export function readLabelRules(text: string): readonly LabelRule[] | null {
  const rules: LabelRule[] = [];
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const [from = '', to = from.slice(from.lastIndexOf('/') + 1)] = part.split('=');
    if (from === '' || !/^[a-z][a-z0-9_.-]{0,62}$/.test(to)) return null;
    rules.push({ from, to });
  }
  // With the fixed ones there is room for 32 labels on a node.
  return rules.length <= 16 ? rules : null;
}
