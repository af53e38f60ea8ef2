import { Inject, Injectable } from '@nestjs/common';
import { FleetError, ok, refuse, type Refusal, type Result } from '../../core/kernel/index.js';
import type { EnrollRequest, EnrollResponse } from '../../protocol/node/index.js';
import { Refusals } from '../access/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, CONFIG, newId, type Clock, type Config } from '../platform/index.js';
import { ClusterTokens, type ClusterToken } from './cluster-tokens.store.js';
import { proves } from './enrollment.js';
import { EnrollmentRecords } from './records.js';

type Refused = Refusal<
  | 'enrollment_token_unknown'
  | 'enrollment_token_expired'
  | 'enrollment_token_revoked'
  | 'enrollment_cluster_mismatch'
  | 'enrollment_proof_invalid'
>;

/** How a workload becomes a node: a token that its cluster uses again and again, and a key of its own. */
@Injectable()
export class ClusterEnrollment {
  constructor(
    private readonly database: Database,
    private readonly tokens: ClusterTokens,
    private readonly records: EnrollmentRecords,
    private readonly refusals: Refusals,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Idempotent for one key: the same name, key and cluster give the same node, so a lost answer costs
   * nothing. Another key under a name that is taken replaces the node, unless that one is connected:
   * then it is `cluster_name_in_use`. A full cluster is `cluster_node_limit`.
   */
  async enroll(request: EnrollRequest, caller: Caller): Promise<EnrollResponse> {
    const checked = await this.#check(this.database.read, request);
    // As for one-time tokens: strangers do not get as far as a transaction.
    const result = checked.ok
      ? await this.database.transaction((tx) => this.#enroll(tx, request, caller))
      : checked;
    if (result.ok) return result.value;
    const { code, message } = result.error;
    return await this.refusals.refuse(caller, new FleetError(code, message), 'enrollment.enroll');
  }

  async #check(sql: Sql, request: EnrollRequest): Promise<Result<ClusterToken, Refused>> {
    const found = usable(
      await this.tokens.findBySecret(sql, request.token),
      request.cluster,
      this.clock.now(),
    );
    const { publicOrigin } = this.config;
    if (!found.ok || proves(request, publicOrigin)) return found;
    return refuse(
      'enrollment_proof_invalid',
      `the proof does not fit the key, the token and the manager address ${publicOrigin}`,
    );
  }

  async #enroll(
    tx: Tx,
    request: EnrollRequest,
    caller: Caller,
  ): Promise<Result<EnrollResponse, Refused>> {
    const now = this.clock.now();
    const before = await this.#check(tx, request);
    if (!before.ok) return before;
    await this.tokens.hold(tx, before.value);
    // Who waited for another may find it revoked.
    const found = await this.#check(tx, request);
    if (!found.ok) return found;
    const token = found.value;
    await this.tokens.used(tx, token.id, now);
    const known = await this.tokens.nodeNamed(tx, token, request.name);
    if (known?.publicKey === request.public_key) {
      return ok({ node_id: known.id, group_id: known.groupId, name: known.name });
    }
    if (known?.isOnline === true) {
      throw new FleetError(
        'cluster_name_in_use',
        `${request.name} of ${token.cluster} is connected under another key`,
      );
    }
    if (known !== null) await this.records.supersede(tx, known, { caller, now });
    await this.#requireRoom(tx, token);
    const node = {
      id: newId('nod'),
      name: request.name,
      groupId: token.groupId,
      publicKey: request.public_key,
      host: request.host,
      now,
    };
    await this.records.node(tx, node, { caller, token });
    await this.tokens.join(tx, token, node);
    return ok({ node_id: node.id, group_id: node.groupId, name: node.name });
  }

  async #requireRoom(tx: Tx, token: ClusterToken): Promise<void> {
    if (token.maxNodes === null) return;
    const current = await this.tokens.count(tx, token);
    if (current < token.maxNodes) return;
    throw new FleetError(
      'cluster_node_limit',
      `the cluster ${token.cluster} holds ${current} nodes; its token allows ${token.maxNodes}`,
      { context: { current, limit: token.maxNodes } },
    );
  }
}

function usable(
  token: ClusterToken | null,
  cluster: string | undefined,
  now: number,
): Result<ClusterToken, Refused> {
  if (token === null) {
    return refuse('enrollment_token_unknown', 'there is no such cluster token');
  }
  if (token.revokedAt !== null) {
    return refuse('enrollment_token_revoked', 'this cluster token was revoked');
  }
  if (token.expiresAt <= now) {
    return refuse('enrollment_token_expired', 'this cluster token has expired');
  }
  // Which cluster it is for is not told: whoever holds it knows.
  if (token.cluster !== cluster) {
    return refuse(
      'enrollment_cluster_mismatch',
      `this token is not for ${cluster === undefined ? 'a node outside clusters' : `the cluster ${cluster}`}`,
    );
  }
  return ok(token);
}
