import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, MINUTE_MS } from '../../core/kernel/index.js';
import type { RolloutState } from '../../core/rollout/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { Access, Groups } from '../access/index.js';
import {
  CLOCK,
  CONFIG,
  Database,
  type Caller,
  type Clock,
  type Config,
} from '../platform/index.js';
import { certificateNeed } from './certificate.js';
import {
  alertNeed,
  documentNeed,
  failedNeed,
  rolloutNeeds,
  silentNeed,
  sinkNeed,
  SEVERITY_RANK,
  tokenNeed,
  type Need,
  type RolloutLine,
} from './need-lines.js';

/** Of each kind in one answer. */
const LINES_MAX = 100;
/** A node that is away for longer is silent; a restart or an upgrade is over by then. */
const SILENT_AFTER_MS = 15 * MINUTE_MS;
/** Time to make a new one. */
const TOKEN_SOON_MS = 14 * DAY_MS;
const DOCUMENT_SOON_MS = 3 * DAY_MS;

type Permission = Parameters<Access['visibleGroups']>[1];
type Visible = 'all' | readonly string[];

/** A condition on `group_id`, and what it takes. */
interface Inside {
  readonly sql: string;
  readonly params: readonly string[];
}

/** What waits for a person. Each line is there for whoever may list the thing itself. */
@Injectable()
export class Needs {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly tree: Groups,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** The gravest first. Throws `not_found` for a group that the caller may not see. */
  async list(caller: Caller, groupId: string | undefined): Promise<Answer<'needs.list'>> {
    const only = groupId === undefined ? null : await this.#subtree(caller, groupId);
    const inside = async (permission: Permission): Promise<Inside | null> =>
      insideOf(await this.access.visibleGroups(caller, permission), only);
    const items = [
      ...(await this.#rollouts(await inside('rollout.view'))),
      ...(await this.#failed(await inside('node.view'))),
      ...(await this.#silent(await inside('node.view'))),
      ...(await this.#alerts(await inside('event.view'))),
      ...(await this.#sinks(await inside('sink.manage'))),
      ...(await this.#tokens(await inside('token.manage'))),
      ...(only === null ? await this.#platform(caller) : []),
    ];
    const counts: Partial<Record<Need['kind'], number>> = {};
    for (const { kind, count } of items) counts[kind] = (counts[kind] ?? 0) + count;
    items.sort((a, b) => SEVERITY_RANK[a.severity] - SEVERITY_RANK[b.severity]);
    return { items, counts };
  }

  async #subtree(caller: Caller, groupId: string): Promise<readonly string[]> {
    await this.access.require(caller, 'group.view', groupId);
    return await this.tree.subtree(groupId);
  }

  async #rollouts(inside: Inside | null): Promise<Need[]> {
    if (inside === null) return [];
    const rows = await this.database.read.all<Omit<RolloutLine, 'state'> & { state: string }>(
      `SELECT id, group_id, product, version, status, state, updated_at FROM rollouts
       WHERE status IN ('pending', 'in_progress', 'paused') AND ${inside.sql}
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      [...inside.params, LINES_MAX],
    );
    return rows.flatMap((row) =>
      rolloutNeeds({ ...row, state: JSON.parse(row.state) as Omit<RolloutState, 'plan'> }),
    );
  }

  async #failed(inside: Inside | null): Promise<Need[]> {
    if (inside === null) return [];
    const along = this.database.kind === 'sqlite' ? ' INDEXED BY nodes_by_facts' : '';
    const rows = await this.database.read.all<{ code: string; n: number }>(
      `SELECT badge_code AS code, COUNT(*) AS n FROM nodes${along}
       WHERE badge = 'failed' AND status <> 'revoked' AND ${inside.sql}
       GROUP BY badge_code ORDER BY 2 DESC LIMIT ?`,
      [...inside.params, LINES_MAX],
    );
    return rows.map(failedNeed);
  }

  async #silent(inside: Inside | null): Promise<Need[]> {
    if (inside === null) return [];
    const row = await this.database.read.get<{ n: number; since: number | null }>(
      `SELECT COUNT(*) AS n, MIN(last_seen_at) AS since FROM nodes
       WHERE status = 'offline' AND last_seen_at < ? AND ${inside.sql}`,
      [this.clock.now() - SILENT_AFTER_MS, ...inside.params],
    );
    return row === undefined || row.n === 0 ? [] : [silentNeed(row)];
  }

  /** But for those that have lines of their own here. */
  async #alerts(inside: Inside | null): Promise<Need[]> {
    if (inside === null) return [];
    const rows = await this.database.read.all<Parameters<typeof alertNeed>[0]>(
      `SELECT id, rule, severity, group_id, message, raised_at FROM alerts
       WHERE state = 'raised' AND resolved_at IS NULL
         AND rule NOT IN ('node_silent', 'rollout_paused', 'rolled_back') AND ${inside.sql}
       ORDER BY raised_at DESC, id DESC LIMIT ?`,
      [...inside.params, LINES_MAX],
    );
    return rows.map(alertNeed);
  }

  async #sinks(inside: Inside | null): Promise<Need[]> {
    if (inside === null) return [];
    const rows = await this.database.read.all<Parameters<typeof sinkNeed>[0]>(
      `SELECT id, name, group_id, is_paused, circuit_since, error_code, updated_at FROM sinks
       WHERE (circuit <> 'closed' OR is_paused = 1) AND ${inside.sql}
       ORDER BY created_at, id LIMIT ?`,
      [...inside.params, LINES_MAX],
    );
    return rows.map(sinkNeed);
  }

  async #tokens(inside: Inside | null): Promise<Need[]> {
    if (inside === null) return [];
    const now = this.clock.now();
    const rows = await this.database.read.all<Parameters<typeof tokenNeed>[0]>(
      `SELECT id, name, group_id, expires_at FROM api_tokens
       WHERE revoked_at IS NULL AND expires_at > ? AND expires_at <= ? AND ${inside.sql}
       ORDER BY expires_at, id LIMIT ?`,
      [now, now + TOKEN_SOON_MS, ...inside.params, LINES_MAX],
    );
    return rows.map(tokenNeed);
  }

  /** What belongs to no group. */
  async #platform(caller: Caller): Promise<Need[]> {
    const now = this.clock.now();
    const rows = await this.database.read.all<Parameters<typeof documentNeed>[0]>(
      `SELECT d.kind, d.product, d.channel, d.expires_at FROM signed_documents d
       WHERE d.kind = 'channel' AND d.expires_at <= ? AND d.sequence = (
         SELECT MAX(n.sequence) FROM signed_documents n
         WHERE n.kind = d.kind AND n.product = d.product AND n.channel = d.channel)
       ORDER BY d.expires_at LIMIT ?`,
      [now + DOCUMENT_SOON_MS, LINES_MAX],
    );
    const documents = rows.map((row) => documentNeed(row, now));
    const seesAll = (await this.access.visibleGroups(caller, 'sink.manage')) === 'all';
    const certificate = seesAll && this.config.tls !== null ? this.config.tls.certFile : null;
    return certificate === null ? documents : [...documents, ...certificateNeed(certificate, now)];
  }
}

/** Null: nothing at all. What belongs to no group is there for whoever sees all groups. */
function insideOf(visible: Visible, only: readonly string[] | null): Inside | null {
  const groups =
    visible === 'all' ? only : only === null ? visible : only.filter((id) => visible.includes(id));
  if (groups === null) return { sql: '1 = 1', params: [] };
  if (groups.length === 0) return null;
  return { sql: `group_id IN (${groups.map(() => '?').join(', ')})`, params: groups };
}
