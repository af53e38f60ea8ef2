import { useSyncExternalStore, type ReactNode } from 'react';

/** One clock for all times on the page. */
const TICK_MS = 1_000;
const listeners = new Set<() => void>();
let nowMs = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;

function subscribe(tell: () => void): () => void {
  listeners.add(tell);
  timer ??= setInterval(() => {
    nowMs = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(tell);
    if (listeners.size === 0 && timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };
}

/** Milliseconds since 1970, rounded down to `everyMs`: whoever asks for minutes is not drawn each second. */
export const useNow = (everyMs = TICK_MS): number =>
  useSyncExternalStore(subscribe, () => Math.floor(nowMs / everyMs) * everyMs);

const UNITS = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'long' });
const exact = new Intl.DateTimeFormat('en', {
  dateStyle: 'medium',
  timeStyle: 'medium',
});

/** `3 minutes ago`, `in 2 hours`, `now`. */
export function ago(at: string, now: number): string {
  const seconds = (Date.parse(at) - now) / 1_000;
  if (Math.abs(seconds) < 2) return 'now';
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return 'now';
}

/** The moment in the zone of the reader, and in UTC for those who compare logs. */
export const exactly = (at: string): string => `${exact.format(new Date(at))} (${at})`;

/** A moment, as far as it is from now; the exact one on hover. Null: never. */
export const Time = ({
  at,
  never = 'never',
}: {
  readonly at: string | null;
  readonly never?: string;
}): ReactNode => {
  const now = useNow();
  if (at === null) return <span className="soft">{never}</span>;
  return (
    <time dateTime={at} title={exactly(at)} className="nowrap">
      {ago(at, now)}
    </time>
  );
};

/** `2 h 5 min`, `40 s`: the two largest units. */
export function spell(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor((whole % 86_400) / 3_600), 'h'],
    [Math.floor((whole % 3_600) / 60), 'min'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** How long until a moment, counted down; nothing once it has passed. */
export const Countdown = ({ until }: { readonly until: string | null }): ReactNode => {
  const now = useNow();
  if (until === null) return null;
  const seconds = (Date.parse(until) - now) / 1_000;
  if (seconds <= 0) return null;
  return (
    <span className="figures nowrap" title={exactly(until)}>
      {spell(seconds)}
    </span>
  );
};
