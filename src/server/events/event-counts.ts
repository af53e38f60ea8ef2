import { MINUTE_MS, toIso } from '../../core/kernel/index.js';
import { FleetError } from '../../core/kernel/index.js';
import { COUNT_BUCKETS_MAX } from '../../protocol/api/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Sql } from '../platform/index.js';
import { COUNT_BUCKET_MS } from './event-index.js';
import { whereOf, type EventWanted } from './event-search.js';

export interface CountsAsked {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly bucketMinutes: number;
  readonly by: 'type' | 'category' | 'severity' | 'group_id';
}

/**
 * How many events there were in each bucket of time, from counters that are kept beside the events: it costs
 * the same at five million rows as at none. Throws `invalid_request` for more than 2000 buckets.
 */
export async function countEvents(
  sql: Sql,
  wanted: Pick<EventWanted, 'groups' | 'category' | 'type' | 'min_severity'>,
  asked: CountsAsked,
): Promise<Answer<'events.counts'>> {
  const { sinceMs, untilMs, bucketMinutes, by } = asked;
  const widthMs = bucketMinutes * MINUTE_MS;
  if ((untilMs - sinceMs) / widthMs > COUNT_BUCKETS_MAX) {
    const message = `that is more than ${COUNT_BUCKETS_MAX} buckets; take wider ones`;
    throw new FleetError('invalid_request', `query.bucket_minutes: ${message}`, {
      context: { problems: [{ path: 'query.bucket_minutes', message }] },
    });
  }
  const { category, type, min_severity, groups } = wanted;
  const { where, params } = whereOf({ category, type, min_severity, groups });
  const perBucket = widthMs / COUNT_BUCKET_MS;
  const rows = await sql.all<{ bucket: number; word: string; count: number }>(
    `SELECT bucket / ${perBucket} AS bucket, ${by} AS word, SUM(count) AS count FROM event_counts
     WHERE ${['bucket >= ?', 'bucket < ?', ...where].join(' AND ')}
     GROUP BY bucket / ${perBucket}, ${by} ORDER BY 1, 2`,
    [Math.floor(sinceMs / COUNT_BUCKET_MS), Math.ceil(untilMs / COUNT_BUCKET_MS), ...params],
  );
  const buckets = new Map<number, Record<string, number>>();
  const totals: Record<string, number> = {};
  for (const { bucket, word, count } of rows) {
    const counts = buckets.get(bucket) ?? {};
    counts[word] = count;
    buckets.set(bucket, counts);
    totals[word] = (totals[word] ?? 0) + count;
  }
  return {
    bucket_minutes: bucketMinutes,
    buckets: [...buckets].map(([bucket, counts]) => ({ at: toIso(bucket * widthMs), counts })),
    totals,
  };
}
