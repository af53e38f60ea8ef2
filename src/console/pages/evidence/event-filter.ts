import { useMemo } from 'react';
import { useFilters } from '../../app/filters.js';
import type { EventFilter } from './event-feed.js';

/** Stand in the address. */
export const EVENT_FILTER_KEYS = [
  'text',
  'category',
  'type',
  'severity',
  'group',
  'node',
  'rollout',
  'code',
  'range',
  'since',
  'until',
] as const;
export type EventFilterKey = (typeof EVENT_FILTER_KEYS)[number];
export type EventFilterValues = Readonly<Partial<Record<EventFilterKey, string>>>;

const HOUR_MS = 3_600_000;
export const RANGES = {
  '1h': { label: 'Last hour', ms: HOUR_MS },
  '24h': { label: 'Last 24 hours', ms: 24 * HOUR_MS },
  '7d': { label: 'Last 7 days', ms: 7 * 24 * HOUR_MS },
  '30d': { label: 'Last 30 days', ms: 30 * 24 * HOUR_MS },
} as const;
export type Range = keyof typeof RANGES;
export const isRange = (text: string | undefined): text is Range =>
  text !== undefined && Object.hasOwn(RANGES, text);

const momentOf = (text: string | undefined): string | undefined => {
  const ms = text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
};

/** What the manager is asked for. A range ends now, and goes on with what comes. */
export function asked(values: EventFilterValues, nowMs: number): EventFilter {
  const since = isRange(values.range)
    ? new Date(nowMs - RANGES[values.range].ms).toISOString()
    : momentOf(values.since);
  const until = isRange(values.range) ? undefined : momentOf(values.until);
  const given = {
    text: values.text,
    category: values.category,
    type: values.type,
    min_severity: values.severity,
    group_id: values.group,
    node_id: values.node,
    rollout_id: values.rollout,
    error_code: values.code,
    since,
    until,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The filter of the address, made into a question once for each change of it. */
export function useEventFilter() {
  const filters = useFilters(EVENT_FILTER_KEYS);
  const { values } = filters;
  const filter = useMemo(() => asked(values, Date.now()), [values]);
  return { ...filters, filter };
}
