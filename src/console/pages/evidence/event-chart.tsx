import { useMemo, useRef, useState, type ReactNode } from 'react';
import { useApi } from '../../app/api.js';
import { Bones, Card, Chart, exactly, useNow, words } from '../../ui/index.js';
import type { EventFilter } from './event-feed.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** About as many bars; widths that people count in. */
const BARS = 80;
const WIDTHS_MINUTES = [5, 10, 15, 30, 60, 120, 360, 720, 1_440, 10_080, 43_200];
/** What the counts are kept by; the others do not count here, and the page says so. */
const COUNTED = ['category', 'type', 'min_severity', 'group_id', 'since', 'until'];
const SEVERITIES = [
  { name: 'info', colour: 'var(--series-1)' },
  { name: 'warning', colour: 'var(--warn)' },
  { name: 'critical', colour: 'var(--bad)' },
] as const;

interface Span {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly minutes: number;
}

/** Whole buckets around what is asked for; a day when nothing is. */
function spanOf(filter: EventFilter, nowMs: number): Span {
  const untilMs = filter.until === undefined ? nowMs : Date.parse(filter.until);
  const sinceMs = filter.since === undefined ? untilMs - DAY_MS : Date.parse(filter.since);
  const wanted = (untilMs - sinceMs) / BARS / MINUTE_MS;
  const minutes = WIDTHS_MINUTES.find((width) => width >= wanted) ?? 43_200;
  const width = minutes * MINUTE_MS;
  const from = Math.floor(sinceMs / width) * width;
  return {
    sinceMs: from,
    untilMs: Math.max(Math.ceil(untilMs / width) * width, from + width),
    minutes,
  };
}

/** Events over time by severity. A stretch that is dragged over, or one bar, becomes the time asked for. */
export const EventChart = ({
  filter,
  onPick,
}: {
  readonly filter: EventFilter;
  readonly onPick: (since: string, until: string) => void;
}): ReactNode => {
  const now = useNow(MINUTE_MS);
  const span = useMemo(() => spanOf(filter, now), [filter, now]);
  const { category, type, min_severity, group_id } = filter;
  const given = { category, type, min_severity, group_id };
  const query = useApi('events.counts', {
    query: {
      since: new Date(span.sinceMs).toISOString(),
      until: new Date(span.untilMs).toISOString(),
      bucket_minutes: span.minutes,
      by: 'severity',
      ...given,
    },
  });
  const uncounted = Object.keys(filter).filter((key) => !COUNTED.includes(key));
  const bars = useMemo(() => barsOf(span, query.data?.buckets ?? []), [span, query.data]);
  return (
    <Card>
      {query.error !== null && query.data === undefined ? (
        <p className="soft" style={{ minHeight: 168 }}>
          There are no counts for this filter.
        </p>
      ) : query.data === undefined ? (
        <div style={{ minHeight: 168 }}>
          <Bones lines={4} />
        </div>
      ) : (
        <Brush times={bars.times} widthMs={span.minutes * MINUTE_MS} onPick={onPick}>
          <Chart
            label={`Events over time, by severity, ${span.minutes} minutes a bar`}
            kind="bars"
            height={110}
            times={bars.times}
            series={bars.series}
          />
        </Brush>
      )}
      <p className="soft small">
        {`${widthInWords(span.minutes)} a bar, by when it was received. Drag over it, or press a bar, to narrow the time.`}
        {uncounted.length === 0
          ? null
          : ` Counted without the filter on ${uncounted.map((key) => words(key).replace(/ id$/, '')).join(', ')}.`}
      </p>
    </Card>
  );
};

const widthInWords = (minutes: number): string =>
  minutes < 60
    ? `${minutes} minutes`
    : minutes < 1_440
      ? `${minutes / 60} ${minutes === 60 ? 'hour' : 'hours'}`
      : `${minutes / 1_440} ${minutes === 1_440 ? 'day' : 'days'}`;

function barsOf(
  { sinceMs, untilMs, minutes }: Span,
  buckets: readonly { readonly at: string; readonly counts: Readonly<Record<string, number>> }[],
) {
  const width = minutes * MINUTE_MS;
  const length = Math.max(1, Math.round((untilMs - sinceMs) / width));
  const values = SEVERITIES.map(() => Array.from({ length }, () => 0));
  for (const { at, counts } of buckets) {
    const bar = Math.floor((Date.parse(at) - sinceMs) / width);
    SEVERITIES.forEach(({ name }, i) => {
      const row = values[i];
      if (row?.[bar] !== undefined) row[bar] += counts[name] ?? 0;
    });
  }
  return {
    times: Array.from({ length }, (_, i) => new Date(sinceMs + i * width).toISOString()),
    series: SEVERITIES.map(({ name, colour }, i) => ({ name, colour, values: values[i] ?? [] })),
  };
}

/** Lets one drag over the picture inside. By keyboard the same is done with the fields of the filter. */
const Brush = ({
  times,
  widthMs,
  onPick,
  children,
}: {
  readonly times: readonly string[];
  readonly widthMs: number;
  readonly onPick: (since: string, until: string) => void;
  readonly children: ReactNode;
}): ReactNode => {
  const frame = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<readonly [from: number, to: number] | null>(null);
  const boxOf = (): DOMRect | null =>
    frame.current?.querySelector('svg')?.getBoundingClientRect() ?? null;
  const barAt = (x: number): number => {
    const box = boxOf();
    const share = box === null ? 0 : (x - box.left) / box.width;
    return Math.max(0, Math.min(times.length - 1, Math.floor(share * times.length)));
  };
  const finish = (): void => {
    setDrag(null);
    if (drag === null) return;
    const since = times[Math.min(...drag)];
    const last = times[Math.max(...drag)];
    if (since === undefined || last === undefined) return;
    onPick(since, new Date(Date.parse(last) + widthMs).toISOString());
  };
  const [low, high] = drag === null ? [0, 0] : [Math.min(...drag), Math.max(...drag)];
  return (
    <div
      ref={frame}
      className="brush"
      onPointerDown={(event) => {
        if (!(event.target instanceof Element) || event.target.closest('svg') === null) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag([barAt(event.clientX), barAt(event.clientX)]);
      }}
      onPointerMove={(event) => {
        if (drag !== null) setDrag([drag[0], barAt(event.clientX)]);
      }}
      onPointerUp={finish}
      onPointerCancel={() => setDrag(null)}
    >
      {children}
      {drag === null ? null : (
        <>
          <div
            className="brush-band"
            style={{
              left: `${(low / times.length) * 100}%`,
              width: `${((high - low + 1) / times.length) * 100}%`,
              top: (boxOf()?.top ?? 0) - (frame.current?.getBoundingClientRect().top ?? 0),
              height: boxOf()?.height ?? 0,
            }}
          />
          <span className="unseen" role="status">
            {`From ${exactly(times[low] ?? '')}`}
          </span>
        </>
      )}
    </div>
  );
};
