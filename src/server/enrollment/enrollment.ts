import { verify } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { FleetError, ok, refuse, type Refusal, type Result } from '../../core/kernel/index.js';
import {
  enrollmentProofText,
  publicKeyFromRaw,
  type EnrollRequest,
  type EnrollResponse,
} from '../../protocol/node/index.js';
import { Refusals } from '../access/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CLOCK, CONFIG, newId, type Clock, type Config } from '../platform/index.js';
import { EnrollmentTokens, type EnrollmentToken } from './enrollment.store.js';
import { EnrollmentRecords } from './records.js';

type Refused = Refusal<
  | 'enrollment_token_unknown'
  | 'enrollment_token_expired'
  | 'enrollment_token_used'
  | 'enrollment_proof_invalid'
>;

/** Whether the one who asks holds the private key, and made the request for this manager. */
export function proves(request: EnrollRequest, origin: string): boolean {
  const key = publicKeyFromRaw(request.public_key);
  if (key === null) return false;
  const text = enrollmentProofText(origin, request.token, request.public_key);
  return verify(null, Buffer.from(text), key, Buffer.from(request.proof, 'base64url'));
}

/** How a machine becomes a node: a one-time token and a proof for a new identity. */
@Injectable()
export class Enrollment {
  constructor(
    private readonly database: Database,
    private readonly tokens: EnrollmentTokens,
    private readonly records: EnrollmentRecords,
    private readonly refusals: Refusals,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * One transaction for node, token, event and audit entry. A refusal leaves the token as it was,
   * so that a node with a wrong manager address may try again. Not idempotent: when the answer is
   * lost, the token is used and the operator makes a new one.
   */
  async enroll(request: EnrollRequest, caller: Caller): Promise<EnrollResponse> {
    const checked = await this.#check(this.database.read, request);
    // Only who holds a usable token and proves a key gets as far as a transaction: strangers must
    // not be able to keep the one writer of SQLite busy.
    const result = checked.ok
      ? await this.database.transaction((tx) => this.#enroll(tx, request, caller))
      : checked;
    if (result.ok) return result.value;
    const { code, message } = result.error;
    return await this.refusals.refuse(caller, new FleetError(code, message), 'enrollment.enroll');
  }

  async #check(sql: Sql, request: EnrollRequest): Promise<Result<EnrollmentToken, Refused>> {
    const found = usable(await this.tokens.find(sql, request.token), this.clock.now());
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
    const found = await this.#check(tx, request);
    if (!found.ok) return found;
    const token = found.value;
    const node = {
      id: newId('nod'),
      name: request.name,
      groupId: token.groupId,
      publicKey: request.public_key,
      host: request.host,
      now,
    };
    await this.records.node(tx, node, { caller, token });
    // Last, so that the loser of a race rolls back: its node must not stay.
    if (!(await this.tokens.use(tx, { id: token.id, nodeId: node.id, now }))) {
      throw new FleetError('enrollment_token_used', 'this token has just enrolled another node');
    }
    return ok({ node_id: node.id, group_id: node.groupId, name: node.name });
  }
}

function usable(token: EnrollmentToken | null, now: number): Result<EnrollmentToken, Refused> {
  if (token === null) {
    return refuse('enrollment_token_unknown', 'there is no such enrollment token');
  }
  if (token.usedAt !== null) {
    return refuse('enrollment_token_used', 'this token has enrolled a node already');
  }
  if (token.expiresAt <= now) {
    return refuse('enrollment_token_expired', 'this token is older than 15 minutes');
  }
  return ok(token);
}
