import { createHash } from 'node:crypto';
import type { Node } from '../../protocol/api/index.js';
import type { ServiceReport } from '../../protocol/node/index.js';

export type Upgrader = Node['upgrader'];
export type Badge = Node['upgrade']['state'];

/** What lists are filtered by, worked out of what a node tells. */
export interface ServiceFacts {
  /** Stands for the products and versions of all its services; empty when it has none. */
  readonly software: string;
  readonly badge: Badge;
  /** Of a failure; empty when there is none. */
  readonly badgeCode: string;
}

/** Enough letters that two lists of versions never share one: 132 bits. */
const SOFTWARE_LETTERS = 22;
/** 48 bits of each label. Who wants to be found by a label that it lacks can as well tell that label. */
const LABEL_LETTERS = 12;
/** Lists sort by the beginning of a name; a row of an index has an end. */
const NAME_LETTERS_MAX = 128;

const digest = (text: string, encoding: 'hex' | 'base64url'): string =>
  createHash('sha256').update(text).digest(encoding);

export interface Installed {
  readonly product: string;
  /** Null: nothing runs yet. */
  readonly version: string | null;
}

/** Each product with each of its versions once, in one order. */
export function installedOf(services: readonly Installed[]): Installed[] {
  const byText = new Map(
    services.map(({ product, version }) => [`${product} ${version ?? ''}`, { product, version }]),
  );
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, installed]) => installed);
}

/** The mark of a list of versions: the same for the same list, in whatever order it is told. */
export function softwareOf(services: readonly Installed[]): string {
  const texts = installedOf(services).map(({ product, version }) => `${product} ${version ?? ''}`);
  return texts.length === 0 ? '' : digest(texts.join('\n'), 'base64url').slice(0, SOFTWARE_LETTERS);
}

/** What stands on the badge of a node: what its services do now, or how the last upgrade ended. */
export function badgeOf(
  services: readonly Pick<ServiceReport, 'phase' | 'outcome'>[],
): Node['upgrade'] {
  if (services.some(({ phase }) => phase !== 'idle')) return { state: 'upgrading', code: null };
  const outcomes = services.flatMap(({ outcome }) => outcome ?? []);
  const last = outcomes.sort((a, b) => Date.parse(b.at) - Date.parse(a.at))[0];
  if (last === undefined || last.result === 'withdrawn') return { state: 'none', code: null };
  if (last.result === 'succeeded') return { state: 'updated', code: null };
  return { state: 'failed', code: last.error_code };
}

export function serviceFacts(services: readonly ServiceReport[]): ServiceFacts {
  const { state, code } = badgeOf(services);
  return { software: softwareOf(services), badge: state, badgeCode: code ?? '' };
}

/** Who upgrades a node: nobody, where it never said that it can be. */
export function upgraderOf(
  capabilities: readonly string[],
  transport: 'socket' | 'poll',
): Upgrader {
  if (capabilities.some((one) => one.startsWith('kubernetes'))) return 'kubernetes';
  if (!capabilities.includes('upgrade')) return 'none';
  return transport === 'poll' ? 'poll' : 'agent';
}

/** What a name is sorted and searched by: case and width of letters do not matter. */
export const nameKeyOf = (name: string): string =>
  name.normalize('NFKC').toLowerCase().slice(0, NAME_LETTERS_MAX);

/** One label in a `labelKeyOf`. */
export const labelMark = (key: string, value: string): string =>
  `.${digest(`${key}=${value}`, 'hex').slice(0, LABEL_LETTERS)}.`;

/** All labels of a node in a text of bounded length that `labelMark` is searched in. */
export const labelKeyOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => labelMark(key, value))
    .join('');

/**
 * A workload of a cluster runs images, which its cluster pulls from a registry; null for any other node.
 * Without `arch` its pods may run on machines of several kinds.
 */
export const workloadOf = ({
  capabilities,
  host,
}: {
  readonly capabilities: readonly string[];
  readonly host: { readonly arch: string };
}): { readonly arch: string | null } | null => {
  if (!capabilities.some((one) => one.startsWith('kubernetes'))) return null;
  return { arch: capabilities.includes('kubernetes_any_arch') ? null : host.arch };
};

/** Of one node, as many as it may send. */
const LABELS_MAX = 32;

/** The labels of a node of a cluster: `cluster` is what the manager knows, the rest is what it told. */
export const labelsWithin = (
  cluster: string,
  told: Readonly<Record<string, string>>,
): Record<string, string> => {
  const others = Object.entries(told).filter(([key]) => key !== 'cluster');
  return { cluster, ...Object.fromEntries(others.slice(0, LABELS_MAX - 1)) };
};
