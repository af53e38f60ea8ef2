import { Injectable } from '@nestjs/common';
import { FleetError, instant, type Instant } from '../../core/kernel/index.js';
import type { Circumstances, Freeze } from '../../core/rollout/index.js';
import type { Sql, Tx } from '../platform/index.js';
import { isYanked } from '../releases/index.js';

/** Of what a rollout is. */
export interface Version {
  readonly product: string;
  readonly version: string;
}

export type UpgradeMode = Circumstances['mode'];

/** The most restrictive first. */
const STRICTNESS: readonly UpgradeMode[] = ['disabled', 'suspended', 'enabled'];

export interface StoredFreeze extends Freeze {
  readonly id: string;
  readonly groupId: string;
  readonly createdBy: string;
  readonly createdAt: Instant;
}

export interface StoredSwitch {
  readonly groupId: string;
  readonly mode: UpgradeMode;
  readonly note: string;
  readonly setBy: string;
  readonly setAt: Instant;
}

interface FreezeRow {
  id: string;
  group_id: string;
  name: string;
  from_at: number;
  to_at: number;
  created_by: string;
  created_at: number;
}

interface SwitchRow {
  group_id: string;
  mode: UpgradeMode;
  note: string;
  set_by: string;
  set_at: number;
}

/** On one group, those that are over too: each step of a rollout reads them, and a list shows them all. */
export const FREEZES_MAX = 200;

/** Held on a group, these hold for every group below it; the root group is the whole fleet. */
const ON_PATH = `SELECT 1 FROM node_groups g WHERE g.id = ? AND g.path LIKE '%/' || x.group_id || '/%'`;

/** The switch and the freezes: what holds rollouts back whoever leads them. */
@Injectable()
export class CircumstancesBook {
  /** What holds for a group now, and for a release in it; freezes that are over are left out. */
  async of(sql: Sql, groupId: string, now: Instant, release?: Version): Promise<Circumstances> {
    const [switches, freezes, yanked] = await Promise.all([
      sql.all<{ mode: UpgradeMode }>(
        `SELECT x.mode FROM upgrade_switches x WHERE EXISTS (${ON_PATH})`,
        [groupId],
      ),
      sql.all<FreezeRow>(
        `SELECT x.* FROM freezes x WHERE x.to_at > ? AND EXISTS (${ON_PATH}) ORDER BY x.from_at, x.id`,
        [now, groupId],
      ),
      release === undefined ? false : isYanked(sql, release.product, release.version),
    ]);
    const modes = new Set(switches.map((row) => row.mode));
    return {
      mode: STRICTNESS.find((mode) => modes.has(mode)) ?? 'enabled',
      freezes: freezes.map(toFreeze),
      yanked,
    };
  }

  /** Sets the switch of a group. Idempotent; `enabled` only takes this group's own switch away. */
  async set(tx: Tx, next: StoredSwitch): Promise<void> {
    await tx.run(
      `INSERT INTO upgrade_switches (group_id, mode, note, set_by, set_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (group_id) DO UPDATE SET mode = excluded.mode, note = excluded.note,
         set_by = excluded.set_by, set_at = excluded.set_at`,
      [next.groupId, next.mode, next.note, next.setBy, next.setAt],
    );
  }

  /** The own switch of a group; null when nobody ever touched it. */
  async switchOf(sql: Sql, groupId: string): Promise<StoredSwitch | null> {
    const row = await sql.get<SwitchRow>('SELECT * FROM upgrade_switches WHERE group_id = ?', [
      groupId,
    ]);
    return row === undefined ? null : toSwitch(row);
  }

  /** Throws `conflict` when `FREEZES_MAX` stand on the group. */
  async freeze(tx: Tx, freeze: StoredFreeze): Promise<void> {
    const held = await tx.get<{ count: number }>(
      'SELECT CAST(count(*) AS integer) AS count FROM freezes WHERE group_id = ?',
      [freeze.groupId],
    );
    if ((held?.count ?? 0) >= FREEZES_MAX) {
      throw new FleetError(
        'conflict',
        `a group holds at most ${FREEZES_MAX} freezes; delete those that are over`,
      );
    }
    await tx.run(
      `INSERT INTO freezes (id, group_id, name, from_at, to_at, created_by, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      [
        freeze.id,
        freeze.groupId,
        freeze.name,
        freeze.from,
        freeze.to,
        freeze.createdBy,
        freeze.createdAt,
      ],
    );
  }

  /** Freezes that stand on one group itself, first ones first; those that are over too. */
  async freezesOn(sql: Sql, groupId: string): Promise<StoredFreeze[]> {
    const rows = await sql.all<FreezeRow>(
      'SELECT * FROM freezes WHERE group_id = ? ORDER BY from_at, id',
      [groupId],
    );
    return rows.map(toFreeze);
  }

  async findFreeze(sql: Sql, id: string): Promise<StoredFreeze | null> {
    const row = await sql.get<FreezeRow>('SELECT * FROM freezes WHERE id = ?', [id]);
    return row === undefined ? null : toFreeze(row);
  }

  async thaw(tx: Tx, id: string): Promise<void> {
    await tx.run('DELETE FROM freezes WHERE id = ?', [id]);
  }
}

const toFreeze = (row: FreezeRow): StoredFreeze => ({
  id: row.id,
  groupId: row.group_id,
  name: row.name,
  from: instant(row.from_at),
  to: instant(row.to_at),
  createdBy: row.created_by,
  createdAt: instant(row.created_at),
});

const toSwitch = (row: SwitchRow): StoredSwitch => ({
  groupId: row.group_id,
  mode: row.mode,
  note: row.note,
  setBy: row.set_by,
  setAt: instant(row.set_at),
});
