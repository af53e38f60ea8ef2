import { Inject, Injectable } from '@nestjs/common';
import { ok, refuse, type Result } from '../../core/kernel/index.js';
import type { EnrollRequest, EnrollResponse } from '../../protocol/node/index.js';
import type { Sql, Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, newId, type Clock } from '../platform/index.js';
import { EnrollmentTokens, type EnrollmentToken } from './enrollment.store.js';
import { EnrollmentGate, type Refused } from './gate.js';
import { EnrollmentRecords } from './records.js';

/** A token that may be used now, or one by which this very key became a node already. */
interface Usable {
  readonly token: EnrollmentToken;
  readonly known: EnrollResponse | null;
}

/** How a machine becomes a node: a one-time token and a proof for a new identity. */
@Injectable()
export class Enrollment {
  constructor(
    private readonly gate: EnrollmentGate,
    private readonly tokens: EnrollmentTokens,
    private readonly records: EnrollmentRecords,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * One transaction for node, token, event and audit entry. A refusal leaves the token as it was,
   * so that a node with a wrong manager address may try again. Idempotent for one key while the token
   * lives: a lost answer costs nothing. Any other key is `enrollment_token_used`.
   */
  enroll(request: EnrollRequest, caller: Caller): Promise<EnrollResponse> {
    return this.gate.pass<Usable>(request, caller, {
      find: (sql) => this.#find(sql, request),
      hold: (tx, { token }) => this.tokens.hold(tx, token.id),
      admit: (tx, usable) => this.#admit(tx, usable, { request, caller }),
    });
  }

  async #find(sql: Sql, request: EnrollRequest): Promise<Result<Usable, Refused>> {
    const token = await this.tokens.find(sql, request.token);
    if (token === null) {
      return refuse('enrollment_token_unknown', 'there is no such enrollment token');
    }
    const isOver = token.expiresAt <= this.clock.now();
    if (token.usedAt !== null) {
      const known = isOver ? null : await this.tokens.nodeOf(sql, token.id, request.public_key);
      if (known !== null) return ok({ token, known });
      return refuse('enrollment_token_used', 'this token has enrolled a node already');
    }
    if (isOver) return refuse('enrollment_token_expired', 'this token is older than 15 minutes');
    // Which cluster a node is of is settled by a token of that cluster, and by nothing else.
    if (request.cluster !== undefined) {
      return refuse('enrollment_cluster_mismatch', 'a one-time token is for no cluster');
    }
    return ok({ token, known: null });
  }

  async #admit(
    tx: Tx,
    { token, known }: Usable,
    { request, caller }: { readonly request: EnrollRequest; readonly caller: Caller },
  ): Promise<Result<EnrollResponse, Refused>> {
    if (known !== null) return ok(known);
    const now = this.clock.now();
    const node = {
      id: newId('nod'),
      name: request.name,
      groupId: token.groupId,
      publicKey: request.public_key,
      host: request.host,
      now,
    };
    await this.records.node(tx, node, { caller, token });
    await this.tokens.use(tx, { id: token.id, nodeId: node.id, now });
    return ok({ node_id: node.id, group_id: node.groupId, name: node.name });
  }
}
