import { FleetError } from '../../core/kernel/index.js';
import { makeSeal, NO_SEAL, PartHasher } from '../../core/seal/index.js';
import type { Sql } from '../platform/index.js';
import { toLine } from './event-rows.js';
import { rowsIn } from './event-search.js';

const PAGE = 500;

/** What was found right. */
export interface VerifiedSeals {
  readonly segments: number;
  readonly events: number;
  /** The last id of the log. */
  readonly head: number;
}

interface Segment {
  readonly first_id: number;
  readonly last_id: number;
  readonly previous: string;
  readonly hash: string;
}

/**
 * Hashes every sealed event that is still there anew and compares with its seal, and each seal with the one
 * before it. Some hundred rows in memory. Throws `backup_damaged` with the first difference.
 */
export async function verifyStoredSeals(sql: Sql): Promise<VerifiedSeals> {
  const row = await sql.get<{ value: number; pruned_through: number }>(
    'SELECT value, pruned_through FROM event_head WHERE id = 1',
  );
  const { value: head = 0, pruned_through: prunedThrough = 0 } = row ?? {};
  let previous = NO_SEAL;
  let [segments, events, after] = [0, 0, 0];
  for (;;) {
    const page = await sql.all<Segment>(
      `SELECT first_id, last_id, previous, hash FROM event_segments
       WHERE first_id > ? ORDER BY first_id LIMIT ${PAGE}`,
      [after],
    );
    for (const segment of page) {
      if (segment.first_id !== after + 1 || segment.previous !== previous) {
        throw damaged(`the seal of event ${after + 1} does not continue the one before it`);
      }
      // What was given up may be gone, wholly or in part.
      if (segment.last_id > prunedThrough) events += await verifySegment(sql, segment);
      [after, previous] = [segment.last_id, segment.hash];
      segments += 1;
    }
    if (page.length < PAGE) break;
  }
  if (after > head) throw damaged(`the log ends at event ${head}, and ${after} of them are sealed`);
  return { segments, events: events + (await countBehind(sql, after, head)), head };
}

async function verifySegment(sql: Sql, segment: Segment): Promise<number> {
  const { first_id: firstId, last_id: lastId, previous, hash } = segment;
  const hasher = new PartHasher();
  for (let after = firstId - 1; after < lastId;) {
    const range = { after, through: Math.min(lastId, after + PAGE) };
    const rows = await rowsIn(sql, range);
    if (rows.length !== range.through - after) {
      throw damaged(`an event behind ${after} is missing`);
    }
    for (const row of rows) hasher.add(row.group_id, toLine(row));
    after = range.through;
  }
  if (makeSeal({ firstId, lastId, previous }, hasher.end()).hash !== hash) {
    throw damaged(`events ${firstId} to ${lastId} are not what was sealed`);
  }
  return lastId - firstId + 1;
}

/** Those that no seal has yet are at least all there. */
async function countBehind(sql: Sql, after: number, head: number): Promise<number> {
  const row = await sql.get<{ n: number }>(
    'SELECT COUNT(*) AS n FROM events WHERE id > ? AND id <= ?',
    [after, head],
  );
  const count = row?.n ?? 0;
  if (count !== head - after) throw damaged(`an event behind ${after} is missing`);
  return count;
}

const damaged = (what: string): FleetError => new FleetError('backup_damaged', what);
