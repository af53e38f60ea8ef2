import { HOUR_MS } from '../../core/kernel/index.js';
import type { Answer, Node } from '../../protocol/api/index.js';
import { searchEvents, type EventLog, type EventRow } from '../events/index.js';
import type { Database } from '../platform/index.js';

type Link = Answer<'nodes.link'>;

const HOURS = 24;
/** Looked at, the newest first; a node that comes and goes more often is bad whatever the number. */
const EVENTS_MAX = 500;
/** Ends with trouble in a day: more than one in two hours is bad, any other is unsteady. */
const BAD_FROM = 12;
const REASONS_MAX = 10;

/** How the link of a node held, from the events that are kept. */
export async function linkOf(
  rooms: { readonly database: Database; readonly log: EventLog },
  node: Pick<Node, 'id' | 'status' | 'transport' | 'last_seen_at'>,
  look: { readonly groups: 'all' | readonly string[]; readonly now: number },
): Promise<Link> {
  const sql = rooms.database.read;
  const { last, prunedThrough } = await rooms.log.head(sql);
  const { rows } = await searchEvents(sql, {
    wanted: {
      groups: look.groups,
      node_id: node.id,
      category: 'connection',
      sinceMs: look.now - HOURS * HOUR_MS,
    },
    range: { after: prunedThrough, through: last },
    order: 'newest',
    limit: EVENTS_MAX,
  });
  return { ...aboutNow(node), ...summaryOf(rows, node.status === 'online') };
}

const aboutNow = (
  node: Pick<Node, 'id' | 'status' | 'transport' | 'last_seen_at'>,
): Pick<Link, 'node_id' | 'online' | 'transport' | 'last_seen_at' | 'hours'> => ({
  node_id: node.id,
  online: node.status === 'online',
  transport: node.transport,
  last_seen_at: node.last_seen_at,
  hours: HOURS,
});

type Summary = Omit<Link, 'node_id' | 'online' | 'transport' | 'last_seen_at' | 'hours'>;

export function summaryOf(
  rows: readonly Pick<EventRow, 'type' | 'severity' | 'details'>[],
  isOnline: boolean,
): Summary {
  const count = (type: string): number => rows.filter((row) => row.type === type).length;
  const ends = rows.filter(({ type }) => type === 'node_disconnected');
  const reasons = new Map<string, number>();
  for (const { details } of ends) {
    const { reason } = JSON.parse(details) as { reason?: unknown };
    const word = typeof reason === 'string' ? reason : 'unknown';
    reasons.set(word, (reasons.get(word) ?? 0) + 1);
  }
  const troubled = ends.filter(({ severity }) => severity !== 'info').length;
  return {
    connects: count('node_connected'),
    disconnects: ends.length,
    troubled,
    takeovers: count('node_superseded') + count('node_transport_changed'),
    reasons: [...reasons]
      .map(([reason, n]) => ({ reason, count: n }))
      .sort((a, b) => b.count - a.count)
      .slice(0, REASONS_MAX),
    capped: rows.length >= EVENTS_MAX,
    quality: qualityOf(troubled, rows.length, isOnline),
  };
}

function qualityOf(troubled: number, events: number, isOnline: boolean): Link['quality'] {
  if (troubled >= BAD_FROM || events >= EVENTS_MAX) return 'bad';
  if (troubled > 0) return 'unsteady';
  // No trouble and no link: nobody knows how it would hold.
  return isOnline ? 'good' : 'unknown';
}
