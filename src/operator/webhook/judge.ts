import { FleetError } from '../../core/kernel/index.js';
import {
  judgeStart,
  trustedIndexes,
  type Channel,
  type IndexMemory,
} from '../../core/release/index.js';
import {
  digestIn,
  isOthers,
  keyOf,
  readOptIn,
  toBeJudged,
  type AskedContainer,
  type Mode,
  type OptIn,
  type WorkloadView,
} from '../../core/workload/index.js';
import type { Cluster } from '../kube/cluster.js';
import { markOf } from '../names.js';
import { StateStore, type NodeState } from '../state-store.js';
import type { Owners } from './owners.js';
import type { Known, ReleaseBook, Trust } from './release-book.js';
import type { Asked } from './review.js';

/** What the operator keeps of a workload is read anew after so long. */
const STATE_MS = 5_000;
const STATES_MAX = 2_000;

/** Why a pod is not let in. */
export interface Refusal {
  readonly workload: WorkloadView;
  readonly pod: string;
  readonly container: string;
  readonly image: string;
  readonly code: string;
  readonly message: string;
}
export type Judgement =
  | { readonly is: 'not_ours'; readonly why: string }
  | { readonly is: 'good'; readonly workload: WorkloadView; readonly versions: readonly string[] }
  | { readonly is: 'bad'; readonly refusals: readonly [Refusal, ...Refusal[]] };

export interface JudgeOptions {
  readonly cluster: Cluster;
  readonly owners: Owners;
  readonly book: ReleaseBook;
  readonly trust: () => Promise<Trust>;
  readonly clock: { now(): number };
  readonly mode: Mode;
  /** Of the operator's own objects. */
  readonly namespace: string;
  readonly watchNamespace: string | null;
  readonly namespaces: ReadonlySet<string> | null;
  readonly excluded: ReadonlySet<string>;
}

type State = Pick<NodeState, 'digests' | 'update'> | null;
interface About {
  readonly workload: WorkloadView;
  readonly optIn: OptIn;
  readonly pod: string;
  readonly trust: Trust;
  readonly state: State;
  /** When an answer has to be there, on the monotonic clock. */
  readonly untilMs: number;
}
type Said = { readonly version: string } | { readonly code: string; readonly message: string };

/** Whether pods may come into the cluster. Throws what it cannot know: `admission_undecided`, KubeError. */
export class Judge {
  readonly #options: JudgeOptions;
  readonly #states = new Map<string, { readonly state: State; readonly atMs: number }>();

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  async judge({ pod, before, namespace }: Asked, untilMs: number): Promise<Judgement> {
    const { owners, trust, mode } = this.#options;
    const spared = this.#spared(namespace);
    if (spared !== null) return { is: 'not_ours', why: spared };
    if (pod === null) return { is: 'not_ours', why: 'nothing is started by it' };
    const asked = toBeJudged(pod, before);
    if (asked.length === 0) return { is: 'not_ours', why: 'no image of it changes' };
    const workload = await owners.workloadOf(pod);
    if (workload === null) return { is: 'not_ours', why: 'it is of no workload that takes part' };
    const own = { workload, pod: pod.name };
    const optIn = readOptIn(workload, mode);
    if (optIn?.ok !== true) {
      const { code, message } = optIn?.error ?? { code: 'workload_unsupported', message: '' };
      const { name: container = '', image = '' } = asked[0] ?? {};
      return { is: 'bad', refusals: [{ ...own, container, image, code, message }] };
    }
    const state = await this.#stateOf(workload);
    const about = { ...own, optIn: optIn.value, trust: await trust(), state, untilMs };
    return this.#all(asked, about);
  }

  #spared(namespace: string): string | null {
    const { watchNamespace, namespaces, excluded } = this.#options;
    if (excluded.has(namespace)) return 'its namespace is excluded';
    const isElsewhere =
      namespaces?.has(namespace) === false ||
      (watchNamespace !== null && watchNamespace !== namespace);
    return isElsewhere ? 'its namespace is not looked after' : null;
  }

  async #all(asked: readonly AskedContainer[], about: About): Promise<Judgement> {
    const { workload, pod } = about;
    const refusals: Refusal[] = [];
    const versions = new Set<string>();
    for (const { name: container, image } of asked) {
      if (container !== about.optIn.container && isOthers(workload, container)) continue;
      const said = await this.#one({ name: container, image }, about);
      if ('version' in said) versions.add(said.version);
      else refusals.push({ workload, pod, container, image, ...said });
    }
    const [first, ...more] = refusals;
    if (first !== undefined) return { is: 'bad', refusals: [first, ...more] };
    return { is: 'good', workload, versions: [...versions] };
  }

  async #one({ name, image }: AskedContainer, about: About): Promise<Said> {
    const { workload, optIn, untilMs } = about;
    const named = digestIn(image);
    if ('problem' in named) return { code: 'upgrade_image_mutable', message: named.problem };
    const { sha256 } = named;
    const waitMs = untilMs - performance.now();
    const known = await this.#options.book.find(workload, optIn.product, sha256, waitMs);
    if (performance.now() > untilMs) throw new FleetError('admission_undecided', 'it is too late');
    return this.#byReleases(sha256, name === optIn.container ? optIn.variant : null, known, about);
  }

  /** One release that lets it run is enough: the same image may stand on two channels. */
  #byReleases(sha256: string, variant: string | null, known: Known, about: About): Said {
    const { trust, state, optIn } = about;
    const { policy } = trust;
    const indexes = trustedIndexes(policy, newerOf(known.indexes, state?.update.indexes ?? {}));
    const isInstalled = state?.digests.some(([digest]) => digest === sha256) === true;
    const nowMs = this.#options.clock.now();
    let refusal: Said | null = null;
    for (const { manifest, bytes } of known.releases) {
      const how = { policy, indexes, sha256, variant, isInstalled, nowMs };
      const judged = judgeStart({ manifest, bytes }, how);
      if (judged.ok) return { version: manifest.version };
      refusal ??= judged.error;
    }
    return (
      refusal ??
      known.refusal ?? {
        code: 'admission_image_unpublished',
        message: `sha256:${sha256} stands in no published release of ${optIn.product}`,
      }
    );
  }

  async #stateOf(workload: WorkloadView): Promise<State> {
    const { cluster, namespace } = this.#options;
    const mark = markOf(workload);
    const nowMs = performance.now();
    const known = this.#states.get(mark);
    if (known !== undefined && nowMs - known.atMs < STATE_MS) return known.state;
    const state = await new StateStore(cluster, namespace, workload)
      .read()
      .catch((error: unknown) => {
        // Damaged by hand: then it says nothing of what was installed.
        if (error instanceof FleetError && error.code === 'upgrade_state_invalid') return null;
        throw error;
      });
    if (this.#states.size >= STATES_MAX) this.#states.clear();
    this.#states.set(mark, { state, atMs: nowMs });
    return state;
  }
}

/** Of each channel the index with the higher sequence: the operator may have seen one that is newer. */
function newerOf(
  a: Readonly<Partial<Record<Channel, IndexMemory>>>,
  b: Readonly<Partial<Record<Channel, IndexMemory>>>,
): Partial<Record<Channel, IndexMemory>> {
  const newer: Partial<Record<Channel, IndexMemory>> = { ...a };
  for (const [channel, index] of Object.entries(b) as [Channel, IndexMemory][]) {
    if ((newer[channel]?.sequence ?? 0) < index.sequence) newer[channel] = index;
  }
  return newer;
}

/** What whoever asked is told of a refusal, and what to do. */
export const inWords = ({ workload, container, code, message }: Refusal): string =>
  `bellwether: container ${container} of ${keyOf(workload)}: ${message} [${code}]`;
