import { Controller, Inject } from '@nestjs/common';
import { FleetError, toIso } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Nodes, Revocation } from '../fleet/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { CLOCK, CONFIG, type Clock, type Config } from '../platform/index.js';
import { EnrollmentTokens } from './enrollment.store.js';
import { Enrollment } from './enrollment.js';
import { ClusterEnrollment } from './cluster-enrollment.js';
import { CLUSTER_TOKEN_PREFIX } from './cluster-tokens.store.js';

/** Making enrollment tokens. */
@Controller()
export class EnrollmentTokensController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly tokens: EnrollmentTokens,
    private readonly audit: AuditLog,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('enrollment.create')
  async create(
    @Given() { body }: Input<'enrollment.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'enrollment.create'>> {
    await this.access.require(caller, 'node.enroll', body.group_id);
    const { token, secret } = await this.database.transaction(async (tx) => {
      const wanted = { groupId: body.group_id, createdBy: caller.id, now: this.clock.now() };
      const created = await this.tokens.create(tx, wanted);
      await this.audit.append(tx, {
        caller,
        action: 'enrollment_token.create',
        targetKind: 'enrollment_token',
        targetId: created.token.id,
        groupId: body.group_id,
        outcome: 'allowed',
        details: {},
      });
      return created;
    });
    return {
      id: token.id,
      group_id: token.groupId,
      expires_at: toIso(token.expiresAt),
      secret,
      command: `bellwether-agent enroll --manager ${this.config.publicUrl} --token ${secret}`,
    };
  }
}

/** Where a node trades its token for an identity. */
@Controller()
export class EnrollmentController {
  constructor(
    private readonly enrollment: Enrollment,
    private readonly clusters: ClusterEnrollment,
    private readonly nodes: Nodes,
    private readonly revocation: Revocation,
  ) {}

  @Endpoint('enrollment.enroll')
  async enroll(
    @Given() { body }: Input<'enrollment.enroll'>,
    @Who() caller: Caller,
  ): Promise<Answer<'enrollment.enroll'>> {
    const isOfCluster = body.token.startsWith(`${CLUSTER_TOKEN_PREFIX}_`);
    return await (isOfCluster ? this.clusters : this.enrollment).enroll(body, caller);
  }

  /** Idempotent as far as a node can ask again: its key is not taken any more after the first time. */
  @Endpoint('enrollment.decommission')
  async decommission(
    @Given() { body }: Input<'enrollment.decommission'>,
    @Who() caller: Caller,
  ): Promise<Answer<'enrollment.decommission'>> {
    if (body.node_id !== caller.id) {
      throw new FleetError('not_found', 'a node can only take itself away');
    }
    const node = await this.nodes.find(caller.id);
    if (node !== null) await this.revocation.revoke(node, caller);
  }
}
