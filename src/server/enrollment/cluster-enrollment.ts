import { Inject, Injectable } from '@nestjs/common';
import { FleetError, ok, refuse, type Result } from '../../core/kernel/index.js';
import type { EnrollRequest, EnrollResponse } from '../../protocol/node/index.js';
import { labelsWithin } from '../fleet/index.js';
import type { Sql, Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, newId, type Clock } from '../platform/index.js';
import { ClusterTokens, type ClusterToken } from './cluster-tokens.store.js';
import { EnrollmentGate, type Refused } from './gate.js';
import { EnrollmentRecords } from './records.js';

/** How a workload becomes a node: a token that its cluster uses again and again, and a key of its own. */
@Injectable()
export class ClusterEnrollment {
  constructor(
    private readonly gate: EnrollmentGate,
    private readonly tokens: ClusterTokens,
    private readonly records: EnrollmentRecords,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Idempotent for one key: the same name, key and cluster give the same node, so a lost answer costs
   * nothing. Another key under a name that is taken replaces the node, unless that one is connected:
   * then it is `cluster_name_in_use`. A full cluster is `cluster_node_limit`.
   */
  enroll(request: EnrollRequest, caller: Caller): Promise<EnrollResponse> {
    return this.gate.pass(request, caller, {
      find: (sql) => this.#find(sql, request),
      hold: (tx, token) => this.tokens.hold(tx, token),
      admit: (tx, token) => this.#admit(tx, token, { request, caller }),
    });
  }

  async #find(sql: Sql, { token, cluster }: EnrollRequest): Promise<Result<ClusterToken, Refused>> {
    return usable(await this.tokens.findBySecret(sql, token), cluster, this.clock.now());
  }

  async #admit(
    tx: Tx,
    token: ClusterToken,
    { request, caller }: { readonly request: EnrollRequest; readonly caller: Caller },
  ): Promise<Result<EnrollResponse, Refused>> {
    const now = this.clock.now();
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
      host: { ...request.host, labels: labelsWithin(token.cluster, request.host.labels) },
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
