import { Controller, Inject } from '@nestjs/common';
import { FleetError, toIso } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { AuditLog } from '../audit/index.js';
import { Database, type Sql } from '../platform/database/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/http/index.js';
import { CLOCK, type Clock } from '../platform/index.js';
import { ClusterTokens, type ClusterToken } from './cluster-tokens.store.js';

/** Tokens of clusters: made, looked at, revoked. Rotating is making a second one and revoking the first. */
@Controller()
export class ClusterTokensController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly tokens: ClusterTokens,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Endpoint('enrollment.clusters')
  async list(
    @Given() { query }: Input<'enrollment.clusters'>,
    @Who() caller: Caller,
  ): Promise<Answer<'enrollment.clusters'>> {
    await this.access.require(caller, 'node.enroll', query.group_id);
    const sql = this.database.read;
    const items = [];
    for (const token of await this.tokens.list(sql, query.group_id)) {
      items.push(await this.#view(sql, token));
    }
    return { items };
  }

  @Endpoint('enrollment.create_cluster')
  async create(
    @Given() { body }: Input<'enrollment.create_cluster'>,
    @Who() caller: Caller,
  ): Promise<Answer<'enrollment.create_cluster'>> {
    await this.access.require(caller, 'node.enroll', body.group_id);
    return this.database.transaction(async (tx) => {
      const { token, secret } = await this.tokens.create(tx, {
        groupId: body.group_id,
        cluster: body.cluster,
        maxNodes: body.max_nodes,
        days: body.expires_days,
        createdBy: caller.id,
        now: this.clock.now(),
      });
      await this.#tell(tx, caller, 'cluster_token.create', token);
      return { ...(await this.#view(tx, token)), secret, command: commandFor(secret) };
    });
  }

  @Endpoint('enrollment.revoke_cluster')
  async revoke(
    @Given() { params }: Input<'enrollment.revoke_cluster'>,
    @Who() caller: Caller,
  ): Promise<Answer<'enrollment.revoke_cluster'>> {
    const token = await this.tokens.find(this.database.read, params.id);
    if (token === null) throw new FleetError('not_found', 'no such cluster token');
    await this.access.require(caller, 'node.enroll', token.groupId);
    await this.database.transaction(async (tx) => {
      if (!(await this.tokens.revoke(tx, token.id, this.clock.now()))) return;
      await this.#tell(tx, caller, 'cluster_token.revoke', token);
    });
  }

  async #tell(
    tx: Parameters<AuditLog['append']>[0],
    caller: Caller,
    action: 'cluster_token.create' | 'cluster_token.revoke',
    token: ClusterToken,
  ): Promise<void> {
    await this.audit.append(tx, {
      caller,
      action,
      targetKind: 'cluster_token',
      targetId: token.id,
      groupId: token.groupId,
      outcome: 'allowed',
      details: {
        cluster: token.cluster,
        max_nodes: token.maxNodes,
        expires_at: toIso(token.expiresAt),
      },
    });
  }

  async #view(
    sql: Sql,
    token: ClusterToken,
  ): Promise<Answer<'enrollment.clusters'>['items'][number]> {
    const moment = (at: number | null): string | null => (at === null ? null : toIso(at));
    return {
      id: token.id,
      group_id: token.groupId,
      cluster: token.cluster,
      max_nodes: token.maxNodes,
      nodes: await this.tokens.count(sql, token),
      created_at: toIso(token.createdAt),
      expires_at: toIso(token.expiresAt),
      last_used_at: moment(token.lastUsedAt),
      revoked_at: moment(token.revokedAt),
    };
  }
}

const commandFor = (secret: string): string =>
  `kubectl create secret generic bellwether-operator-token --namespace bellwether ` +
  `--from-literal=enrollmentToken=${secret}`;
