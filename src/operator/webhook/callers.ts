import { randomUUID } from 'node:crypto';
import { FleetError } from '../../core/kernel/index.js';
import type { WorkloadName } from '../../core/workload/index.js';
import { IMAGES_PATH, makeNodeToken, ReleasesOfImage } from '../../protocol/node/index.js';
import { agentFor, ask, bytesOf, type HttpFetcher } from '../../agent/parts/index.js';
import { Credentials, type NodeIdentity } from '../credentials.js';
import { fetcherOf } from '../fetcher.js';
import { markOf } from '../names.js';
import type { Surroundings } from '../workload-node.js';

/** A Secret that was read is used so long; one that the manager knows no more is read at once. */
const IDENTITY_MS = 300_000;
const ANSWER_MS = 8_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** How many workloads are looked at for an identity when the own one has none yet. */
const OTHERS_MAX = 20;
const KEPT_MAX = 2_000;

type Hints = readonly ReleasesOfImage['releases'][number][];

/**
 * Asks the manager with the identities that the operator gave to workloads: that of the workload that
 * is judged, or, before it has one, that of any other. What a node may read, all nodes may.
 */
export class Callers {
  readonly #around: Surroundings;
  readonly #known = new Map<string, { readonly identity: NodeIdentity; readonly atMs: number }>();
  #last: NodeIdentity | null = null;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Throws `admission_undecided` when no workload has an identity, `unavailable`, KubeError. */
  async for(
    of: WorkloadName,
    others: Iterable<WorkloadName>,
  ): Promise<{ readonly identity: NodeIdentity; readonly fetcher: HttpFetcher }> {
    const identity = (await this.#identityOf(of)) ?? this.#last ?? (await this.#anyOf(others));
    if (identity === null) {
      const message = 'no workload of this cluster is enrolled yet: the operator has to run first';
      throw new FleetError('admission_undecided', message);
    }
    this.#last = identity;
    const fetcher = fetcherOf(this.#around, identity, { answerTimeoutMs: ANSWER_MS });
    return { identity, fetcher };
  }

  /** Which releases are said to name the digest. Throws `unavailable`. */
  async hints(
    { nodeId, key }: NodeIdentity,
    what: { readonly product: string; readonly sha256: string },
    signal: AbortSignal,
  ): Promise<Hints> {
    const { config, reach, clock } = this.#around;
    const { manager: origin } = config;
    const token = makeNodeToken({ nodeId, origin, key, nowMs: clock.now(), jti: randomUUID() });
    const failed = (why: string, cause?: unknown): FleetError =>
      new FleetError('unavailable', `the manager ${why}`, { kind: 'operational', cause });
    try {
      const response = await ask(`${origin}${IMAGES_PATH}/${what.product}/${what.sha256}`, {
        headers: { authorization: `Bearer ${token}` },
        agent: origin.startsWith('https:') && agentFor(reach, false),
        timeoutMs: ANSWER_MS,
        silenceMs: ANSWER_MS,
        signal,
      });
      const bytes = await bytesOf(response, ANSWER_BYTES_MAX);
      const status = response.statusCode ?? 0;
      if (status === 401) this.#forget(nodeId);
      if (status !== 200 || bytes === null) throw failed(`answered ${status}`);
      return ReleasesOfImage.parse(JSON.parse(bytes.toString('utf8'))).releases;
    } catch (error) {
      if (error instanceof FleetError) throw error;
      throw failed('cannot be asked', error);
    }
  }

  #forget(nodeId: string): void {
    if (this.#last?.nodeId === nodeId) this.#last = null;
    for (const [mark, { identity }] of this.#known) {
      if (identity.nodeId === nodeId) this.#known.delete(mark);
    }
  }

  async #anyOf(others: Iterable<WorkloadName>): Promise<NodeIdentity | null> {
    let looks = 0;
    for (const of of others) {
      looks += 1;
      if (looks > OTHERS_MAX) return null;
      const identity = await this.#identityOf(of);
      if (identity !== null) return identity;
    }
    return null;
  }

  async #identityOf(of: WorkloadName): Promise<NodeIdentity | null> {
    const { cluster, config, reach, token } = this.#around;
    const mark = markOf(of);
    const nowMs = performance.now();
    const known = this.#known.get(mark);
    if (known !== undefined && nowMs - known.atMs < IDENTITY_MS) return known.identity;
    const { namespace, clusterName, manager } = config;
    const options = { cluster, namespace, clusterName, manager, reach, token };
    const identity = await new Credentials(options, of).find();
    if (identity === null) return null;
    if (this.#known.size >= KEPT_MAX) this.#known.clear();
    this.#known.set(mark, { identity, atMs: nowMs });
    return identity;
  }
}
