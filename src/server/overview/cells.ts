import { Injectable } from '@nestjs/common';
import { CELL_LETTERS, type RolloutEvent, type TargetState } from '../../core/rollout/index.js';
import { CELLS_MAX, type Answer } from '../../protocol/api/index.js';
import { Database } from '../platform/index.js';

interface CellRow {
  readonly node_id: string;
  readonly wave: number;
  readonly state: TargetState;
}

/** More news than this, and the whole is shorter to read. */
const NEWS_MAX = 5_000;
const IDS_PER_STATEMENT = 500;

const LETTER_OF = new Map(
  Object.entries(CELL_LETTERS).map(([letter, state]): [TargetState, string] => [state, letter]),
);

/** What moves many targets at once, and names none of them. */
const OF_MANY: ReadonlySet<RolloutEvent['type']> = new Set([
  'targets_offered',
  'targets_retried',
  'targets_expired',
  'wave_skipped',
  'rollout_cancelled',
  'rollout_rolled_back',
  'rollout_completed',
]);

/** The nodes of a rollout as letters: all of them, or those that the journal names after a position. */
@Injectable()
export class CellsOfRollout {
  constructor(private readonly database: Database) {}

  /** Cells may come twice, and newer than `version` says; none that changed is left out. */
  async read(id: string, since: number | undefined): Promise<Answer<'rollouts.cells'>> {
    // Before the cells: what changes in between comes again with the next answer.
    const row = await this.database.read.get<{ version: number }>(
      'SELECT journal_length AS version FROM rollouts WHERE id = ?',
      [id],
    );
    const version = row?.version ?? 0;
    if (since === version) return { ...compact([]), version, whole: false, beyond: 0 };
    const changed = since === undefined ? null : await this.#changed(id, since, version);
    if (changed !== null) return { ...compact(changed), version, whole: false, beyond: 0 };
    const rows = await this.database.read.all<CellRow>(
      `SELECT node_id, wave, state FROM rollout_targets WHERE rollout_id = ?
       ORDER BY wave, node_id LIMIT ?`,
      [id, CELLS_MAX],
    );
    const beyond = rows.length < CELLS_MAX ? 0 : (await this.#count(id)) - rows.length;
    return { ...compact(rows), version, whole: true, beyond };
  }

  /** Null: too much, or a version that this rollout never had. */
  async #changed(id: string, since: number, version: number): Promise<CellRow[] | null> {
    if (since > version || version - since > NEWS_MAX) return null;
    const rows = await this.database.read.all<{ event: string }>(
      `SELECT event FROM rollout_journal
       WHERE rollout_id = ? AND position >= ? AND position < ? ORDER BY position`,
      [id, since, version],
    );
    const events = rows.map(({ event }) => JSON.parse(event) as RolloutEvent);
    const named = new Set(events.flatMap((event) => ('nodeId' in event ? event.nodeId : [])));
    const moments = events.filter(({ type }) => OF_MANY.has(type)).map(({ at }) => Number(at));
    const cells = new Map<string, CellRow>();
    const take = (found: readonly CellRow[]): void => {
      for (const cell of found) cells.set(cell.node_id, cell);
    };
    if (moments.length > 0) take(await this.#since(id, Math.min(...moments)));
    const ids = [...named];
    for (let at = 0; at < ids.length; at += IDS_PER_STATEMENT) {
      take(await this.#named(id, ids.slice(at, at + IDS_PER_STATEMENT)));
    }
    return [...cells.values()];
  }

  #since(id: string, at: number): Promise<CellRow[]> {
    return this.database.read.all<CellRow>(
      `SELECT node_id, wave, state FROM rollout_targets
       WHERE rollout_id = ? AND updated_at >= ? LIMIT ?`,
      [id, at, CELLS_MAX],
    );
  }

  #named(id: string, nodeIds: readonly string[]): Promise<CellRow[]> {
    return this.database.read.all<CellRow>(
      `SELECT node_id, wave, state FROM rollout_targets
       WHERE rollout_id = ? AND node_id IN (${nodeIds.map(() => '?').join(', ')})`,
      [id, ...nodeIds],
    );
  }

  async #count(id: string): Promise<number> {
    const row = await this.database.read.get<{ n: number }>(
      'SELECT COUNT(*) AS n FROM rollout_targets WHERE rollout_id = ?',
      [id],
    );
    return row?.n ?? 0;
  }
}

const compact = (
  rows: readonly CellRow[],
): { readonly ids: string[]; readonly waves: number[]; readonly states: string } => ({
  ids: rows.map((row) => row.node_id),
  waves: rows.map(({ wave }) => wave),
  states: rows.map(({ state }) => LETTER_OF.get(state) ?? '').join(''),
});
