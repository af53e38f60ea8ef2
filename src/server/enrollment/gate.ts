import { verify } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { FleetError, refuse, type Refusal, type Result } from '../../core/kernel/index.js';
import {
  enrollmentProofText,
  publicKeyFromRaw,
  type EnrollRequest,
  type EnrollResponse,
} from '../../protocol/node/index.js';
import { Refusals } from '../access/index.js';
import { Database, type Sql, type Tx } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { CONFIG, type Config } from '../platform/index.js';

export type Refused = Refusal<
  | 'enrollment_token_unknown'
  | 'enrollment_token_expired'
  | 'enrollment_token_used'
  | 'enrollment_token_revoked'
  | 'enrollment_cluster_mismatch'
  | 'enrollment_proof_invalid'
>;

/** What is of one kind of token: which one a request shows, and what follows from it. */
export interface Kind<Token> {
  readonly find: (sql: Sql, request: EnrollRequest) => Promise<Result<Token, Refused>>;
  /** First in the transaction: who comes at the same moment waits, and sees what came of it. */
  readonly hold: (tx: Tx, token: Token) => Promise<void>;
  readonly admit: (tx: Tx, token: Token) => Promise<Result<EnrollResponse, Refused>>;
}

/** What every enrollment passes: a usable token, and a proof of the key that was made for this manager. */
@Injectable()
export class EnrollmentGate {
  constructor(
    private readonly database: Database,
    private readonly refusals: Refusals,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * One transaction for all that `admit` does. Who holds no usable token or proves no key gets no
   * transaction: strangers must not be able to keep the one writer of SQLite busy. Throws what was
   * refused, after it was counted and audited.
   */
  async pass<Token>(
    request: EnrollRequest,
    caller: Caller,
    kind: Kind<Token>,
  ): Promise<EnrollResponse> {
    const before = await this.#check(this.database.read, request, kind);
    const result = before.ok
      ? await this.database.transaction(async (tx) => {
          await kind.hold(tx, before.value);
          // Who waited may find the token used or revoked.
          const found = await this.#check(tx, request, kind);
          return found.ok ? await kind.admit(tx, found.value) : found;
        })
      : before;
    if (result.ok) return result.value;
    const { code, message } = result.error;
    return await this.refusals.refuse(caller, new FleetError(code, message), 'enrollment.enroll');
  }

  async #check<Token>(
    sql: Sql,
    request: EnrollRequest,
    kind: Kind<Token>,
  ): Promise<Result<Token, Refused>> {
    const found = await kind.find(sql, request);
    const { publicOrigin } = this.config;
    if (!found.ok || proves(request, publicOrigin)) return found;
    return refuse(
      'enrollment_proof_invalid',
      `the proof does not fit the key, the token and the manager address ${publicOrigin}`,
    );
  }
}

/** Whether the one who asks holds the private key, and made the request for this manager. */
function proves(request: EnrollRequest, origin: string): boolean {
  const key = publicKeyFromRaw(request.public_key);
  if (key === null) return false;
  const text = enrollmentProofText(origin, request.token, request.public_key);
  return verify(null, Buffer.from(text), key, Buffer.from(request.proof, 'base64url'));
}
