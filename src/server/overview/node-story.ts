import { Inject, Injectable } from '@nestjs/common';
import { toIso } from '../../core/kernel/index.js';
import { whyNot, type TargetState } from '../../core/rollout/index.js';
import { ERRORS, isErrorCode } from '../../protocol/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import { EventLog, searchEvents, type EventRow } from '../events/index.js';
import type { FleetNode } from '../fleet/index.js';
import { CLOCK, Database, type Caller, type Clock, type Cursor } from '../platform/index.js';
import { findRollout, NodeLook } from '../rollouts/index.js';

export type NodeUpgrade = Answer<'nodes.history'>['items'][number];
type Because = Answer<'nodes.why'>['services'][number]['because'][number];

interface HistoryRow {
  readonly rollout_id: string;
  readonly service: string;
  readonly product: string;
  readonly version: string;
  readonly wave: number;
  readonly state: TargetState;
  readonly reason: string;
  readonly error_code: string | null;
  readonly from_version: string | null;
  readonly created_at: number;
  readonly updated_at: number;
}

/** Steps of all upgrades on one page, the newest; each upgrade has about eight. */
const STEPS_MAX = 1_000;
const STEPS_PER_UPGRADE_MAX = 50;

/** What became of one node, as far as a caller sees it. */
@Injectable()
export class NodeStory {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly tree: Groups,
    private readonly log: EventLog,
    private readonly look: NodeLook,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Its upgrades, newest first, `limit` of them, without steps. Those of a group that the caller does not see,
   * from before a transfer, are left out; those that were led from above the node's group are there.
   */
  async upgrades(
    caller: Caller,
    node: FleetNode,
    { before, limit }: { readonly before: Cursor | null; readonly limit: number },
  ): Promise<NodeUpgrade[]> {
    const visible = await this.access.visibleGroups(caller, 'rollout.view');
    const path = (await this.tree.find(node.groupId))?.path ?? [];
    const groups = visible === 'all' ? null : [...new Set([...visible, ...path])];
    const inside =
      groups === null ? '' : ` AND r.group_id IN (${groups.map(() => '?').join(', ')})`;
    const at = before?.at ?? Number.MAX_SAFE_INTEGER;
    const rows = await this.database.read.all<HistoryRow>(
      `SELECT t.rollout_id, t.service, r.product, r.version, t.wave, t.state, t.reason, t.error_code,
         t.from_version, r.created_at, t.updated_at
       FROM rollout_targets t JOIN rollouts r ON r.id = t.rollout_id
       WHERE t.node_id = ? AND (r.created_at < ? OR (r.created_at = ? AND r.id < ?))${inside}
       ORDER BY r.created_at DESC, r.id DESC LIMIT ?`,
      [node.id, at, at, before?.id ?? '', ...(groups ?? []), limit],
    );
    return rows.map(upgradeView);
  }

  /** The same with what the node told of each; from events, as far as they are kept. */
  async withSteps(
    caller: Caller,
    node: FleetNode,
    upgrades: readonly NodeUpgrade[],
  ): Promise<NodeUpgrade[]> {
    const begins = upgrades.map(({ created_at: at }) => Date.parse(at));
    const sql = this.database.read;
    const { last, prunedThrough } = await this.log.head(sql);
    const { rows } = await searchEvents(sql, {
      wanted: {
        groups: await this.access.visibleGroups(caller, 'event.view'),
        node_id: node.id,
        category: 'upgrade',
        sinceMs: Math.min(...begins, this.clock.now()),
      },
      range: { after: prunedThrough, through: last },
      order: 'newest',
      limit: STEPS_MAX,
    });
    return upgrades.map((upgrade) => ({
      ...upgrade,
      steps: rows
        .filter((row) => row.rollout_id === upgrade.rollout_id)
        .slice(0, STEPS_PER_UPGRADE_MAX)
        .reverse()
        .map(stepView),
    }));
  }

  /** What the rollout that has the service says; null when none has it. */
  async led(
    node: FleetNode,
    service: string,
  ): Promise<{
    readonly rolloutId: string;
    readonly state: TargetState;
    readonly because: Because[];
  } | null> {
    const row = await this.database.read.get<{ id: string }>(
      'SELECT rollout_id AS id FROM active_targets WHERE node_id = ? AND service = ?',
      [node.id, service],
    );
    const rollout = row === undefined ? null : await findRollout(this.database.read, row.id);
    const at = rollout === null ? null : await this.look.at(rollout, node.id);
    if (rollout === null || at === null) return null;
    const because = whyNot(rollout.state, at.target, at.facts).map(({ until, ...one }) => ({
      ...one,
      until: until === null ? null : toIso(until),
    }));
    return { rolloutId: rollout.meta.id, state: at.target.state, because };
  }
}

const upgradeView = (row: HistoryRow): NodeUpgrade => ({
  rollout_id: row.rollout_id,
  service: row.service,
  product: row.product,
  from_version: row.from_version,
  to_version: row.version,
  wave: row.wave,
  state: row.state,
  reason: row.reason,
  error_code: row.error_code,
  fix: row.error_code !== null && isErrorCode(row.error_code) ? ERRORS[row.error_code].fix : null,
  created_at: toIso(row.created_at),
  updated_at: toIso(row.updated_at),
  steps: [],
});

const stepView = (row: EventRow): NodeUpgrade['steps'][number] => ({
  event_id: row.id,
  at: toIso(row.occurred_at ?? row.at),
  type: row.type,
  severity: row.severity,
  message: row.message,
  error_code: row.error_code,
});
