import { Inject, Injectable } from '@nestjs/common';
import { DAY_MS, HOUR_MS, toIso } from '../../core/kernel/index.js';
import { Revocation } from '../fleet/index.js';
import {
  CLOCK,
  CONFIG,
  Database,
  systemCaller,
  type Clock,
  type Config,
  type Sql,
} from '../platform/index.js';

/** A manager that was away itself has heard nobody: nodes have this long to come back to it. */
const CALM_MS = HOUR_MS;
const EVERY_MS = 600_000;
/** Of one look; a cluster that went with thousands of them is through in minutes. */
const BATCH = 100;

/** As the sweep of the manager sees to them. */
interface Task {
  readonly what: string;
  readonly run: () => Promise<void>;
}

interface GoneRow {
  readonly id: string;
  readonly name: string;
  readonly group_id: string;
  readonly cluster: string;
  readonly seen_at: number;
}

/**
 * Nodes that came by a cluster token and have been gone for days: nobody said goodbye for them, as when
 * a cluster is thrown away as a whole. They are taken out: their keys count no more, and they take no room in
 * the limit of their cluster. Never one in an open rollout. Several managers may look at once; what is done
 * is done by one.
 */
@Injectable()
export class GoneNodes {
  readonly chore = {
    what: 'nodes of clusters that are gone',
    find: (now: number): Promise<readonly Task[]> => this.#tasks(now),
  };
  #nextAt: number;

  constructor(
    private readonly database: Database,
    private readonly revocation: Revocation,
    @Inject(CONFIG) private readonly config: Pick<Config, 'clusterNodesGoneDays'>,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#nextAt = this.clock.now() + CALM_MS;
  }

  async #tasks(now: number): Promise<readonly Task[]> {
    const { clusterNodesGoneDays: days } = this.config;
    if (days === null || now < this.#nextAt) return [];
    const silentSince = now - days * DAY_MS;
    const gone = await goneOf(this.database.read, silentSince);
    if (gone.length < BATCH) this.#nextAt = now + EVERY_MS;
    return gone.map((row) => ({
      what: `node ${row.id}`,
      run: () => this.#retire(row, { silentSince, days }),
    }));
  }

  async #retire(
    { id, name, group_id: groupId, cluster, seen_at: seenAt }: GoneRow,
    { silentSince, days }: { readonly silentSince: number; readonly days: number },
  ): Promise<void> {
    const details = { cluster, last_seen: toIso(seenAt), days };
    const isFree = (sql: Sql): Promise<boolean> => isInNoRollout(sql, id);
    await this.revocation.retire(
      { id, name, groupId },
      { silentSince, isFree, details },
      systemCaller('clusters'),
    );
  }
}

const goneOf = (sql: Sql, silentSince: number): Promise<GoneRow[]> =>
  sql.all<GoneRow>(
    `SELECT n.id, n.name, n.group_id, c.cluster,
            COALESCE(NULLIF(n.last_seen_at, 0), n.enrolled_at) AS seen_at
     FROM cluster_nodes c JOIN nodes n ON n.id = c.node_id
     WHERE n.revoked_at IS NULL AND n.status = 'offline'
       AND COALESCE(NULLIF(n.last_seen_at, 0), n.enrolled_at) < ?
       AND NOT EXISTS (SELECT 1 FROM active_targets a WHERE a.node_id = n.id)
     ORDER BY n.id LIMIT ${BATCH}`,
    [silentSince],
  );

/** A claim stands until its rollout is over, whatever became of the node in it. */
async function isInNoRollout(sql: Sql, nodeId: string): Promise<boolean> {
  const claim = 'SELECT 1 AS found FROM active_targets WHERE node_id = ? LIMIT 1';
  return (await sql.get(claim, [nodeId])) === undefined;
}
