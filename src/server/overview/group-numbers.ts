import { Injectable } from '@nestjs/common';
import type { Answer } from '../../protocol/api/index.js';
import { Access } from '../access/index.js';
import { Database, type Caller } from '../platform/index.js';

type GroupLine = Answer<'fleet.groups'>['items'][number];
type Mode = NonNullable<GroupLine['upgrades']>;

interface PathRow {
  readonly id: string;
  readonly path: string;
}

/** The most restrictive first, as in the rules of rollouts. */
const STRICTNESS: readonly Mode[] = ['disabled', 'suspended', 'enabled'];
/** As many groups as one installation of ours was ever asked for, and then some. */
const GROUPS_MAX = 5_000;

/** What a tree of groups shows beside each name: one walk over an index of nodes, whatever the number of groups. */
@Injectable()
export class GroupNumbers {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
  ) {}

  /** Of each group whose nodes the caller may see; the oldest 5 000 of them. */
  async list(caller: Caller): Promise<readonly GroupLine[]> {
    const seen = await this.#visible(caller, 'node.view');
    const led = await this.#visible(caller, 'rollout.view');
    const nodes = await this.#nodes();
    const modes = await this.#modes();
    const groups = await this.database.read.all<PathRow>(
      `SELECT id, path FROM node_groups WHERE deleted_at IS NULL
       ORDER BY created_at, id LIMIT ?`,
      [GROUPS_MAX],
    );
    const shown = groups.filter(({ id }) => seen(id));
    // A group whose nodes may be seen shows what is below it, too: roles flow down.
    const below = new Map<string, number>();
    for (const { id, path } of groups) {
      for (const above of idsOf(path))
        below.set(above, (below.get(above) ?? 0) + (nodes.get(id) ?? 0));
    }
    return shown.map(({ id, path }) => ({
      group_id: id,
      nodes: nodes.get(id) ?? 0,
      nodes_with_below: below.get(id) ?? 0,
      upgrades: led(id) ? strictest(idsOf(path).flatMap((each) => modes.get(each) ?? [])) : null,
    }));
  }

  async #visible(
    caller: Caller,
    permission: 'node.view' | 'rollout.view',
  ): Promise<(id: string) => boolean> {
    const groups = await this.access.visibleGroups(caller, permission);
    if (groups === 'all') return () => true;
    const ids = new Set(groups);
    return (id) => ids.has(id);
  }

  async #nodes(): Promise<ReadonlyMap<string, number>> {
    const along = this.database.kind === 'sqlite' ? ' INDEXED BY nodes_by_facts' : '';
    const rows = await this.database.read.all<{ group_id: string; n: number }>(
      `SELECT group_id, CAST(COUNT(*) AS integer) AS n FROM nodes${along}
       WHERE status <> 'revoked' GROUP BY group_id`,
    );
    return new Map(rows.map(({ group_id: id, n }) => [id, n]));
  }

  async #modes(): Promise<ReadonlyMap<string, Mode>> {
    const rows = await this.database.read.all<{ group_id: string; mode: Mode }>(
      `SELECT group_id, mode FROM upgrade_switches WHERE mode <> 'enabled'`,
    );
    return new Map(rows.map(({ group_id: id, mode }) => [id, mode]));
  }
}

const idsOf = (path: string): string[] => path.split('/').filter((id) => id !== '');
const strictest = (modes: readonly Mode[]): Mode =>
  STRICTNESS.find((mode) => modes.includes(mode)) ?? 'enabled';
