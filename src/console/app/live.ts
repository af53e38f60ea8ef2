import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import type { Answer } from '../../client/index.js';
import { api, refresh } from './api.js';
import { eventsIn } from './sse.js';

export type LiveEvent = Answer<'events.list'>['items'][number];

/** What an event may have changed, by its category: first words of routes. */
const STALE: Readonly<Record<string, readonly string[]>> = {
  upgrade: ['rollouts', 'schedules', 'nodes', 'fleet', 'needs'],
  connection: ['nodes', 'fleet', 'needs'],
  service: ['nodes', 'fleet'],
  agent: ['nodes', 'fleet', 'needs'],
  audit: ['audit', 'groups'],
  alert: ['needs'],
  // A newer release makes nodes outdated.
  release: ['releases', 'schedules', 'documents', 'nodes', 'fleet'],
  security: ['audit', 'needs'],
};
const STALE_BY_DEFAULT = ['fleet', 'needs'];
const STALE_ALWAYS = ['events', 'alerts'];
const ALL = [...new Set([STALE_ALWAYS, ...Object.values(STALE)].flat())];
/** However many events come: a list is asked for anew so often, and no more. */
const REFRESH_MS = 1_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
const LOCK = 'bellwether-live';

export type LiveState = 'connecting' | 'live' | 'lost';

const listeners = new Set<() => void>();
let state: LiveState = 'connecting';
const setState = (next: LiveState): void => {
  if (state === next) return;
  state = next;
  for (const tell of listeners) tell();
};

/** How this page hears of changes; `lost` is shown as a banner. */
export const useLiveState = (): LiveState =>
  useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => void listeners.delete(tell);
    },
    () => state,
  );

type Message =
  | { readonly kind: 'stale'; readonly subjects: readonly string[] }
  | { readonly kind: 'state'; readonly state: LiveState };

/**
 * One stream for all tabs of a browser: connections are few. Whoever holds the lock listens, and tells the
 * others what became stale. Where there are no locks (no TLS), each tab listens for itself.
 */
export function useLive(): void {
  const client = useQueryClient();
  useEffect(() => {
    const ended = new AbortController();
    const { signal } = ended;
    const channel = new BroadcastChannel(LOCK);
    const take = (message: Message): void => {
      if (message.kind === 'state') setState(message.state);
      else refresh(client, ...message.subjects);
    };
    channel.onmessage = ({ data }: MessageEvent<Message>) => take(data);
    const tell = (message: Message): void => {
      take(message);
      channel.postMessage(message);
    };
    const lead = (): Promise<void> => listen(tell, signal);
    // `locks` is missing outside secure contexts, whatever the types say.
    const locks = navigator.locks as LockManager | undefined;
    if (locks === undefined) void lead();
    else {
      // A follower that asks is told by the next message; until then what it read is fresh.
      setTimeout(() => setState(state === 'connecting' ? 'live' : state), REFRESH_MS);
      locks.request(LOCK, { signal }, lead).catch(() => undefined);
    }
    return () => {
      ended.abort();
      channel.close();
    };
  }, [client]);
}

/** Listens until `signal`; every end of the stream is followed by another try, from where it came to. */
async function listen(tell: (message: Message) => void, signal: AbortSignal): Promise<void> {
  const gather = gathering((subjects) => tell({ kind: 'stale', subjects }));
  let after: number | undefined;
  let isAgain = false;
  for (let failures = 0; ; failures += 1) {
    try {
      const query = after === undefined ? {} : { after };
      const response = await api.open('events.stream', { query }, { signal });
      tell({ kind: 'state', state: 'live' });
      // What happened while nobody listened is asked for once.
      if (isAgain) gather(ALL);
      isAgain = true;
      failures = 0;
      for await (const { id, data, event } of eventsIn(response, signal)) {
        after = id ?? after;
        if (event === 'message') gather(staleBy(JSON.parse(data) as LiveEvent));
        if (event === 'end') break;
      }
    } catch {
      // Whatever it was: the next try shows whether it is over.
    }
    if (isOver(signal)) return;
    if (failures > 0) tell({ kind: 'state', state: 'lost' });
    const waitMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures);
    await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random() / 2)));
  }
}

/** Asked anew each time: it changes while one waits. */
const isOver = (signal: AbortSignal): boolean => signal.aborted;

const staleBy = ({ category }: LiveEvent): readonly string[] => [
  ...STALE_ALWAYS,
  ...(STALE[category] ?? STALE_BY_DEFAULT),
];

/** Gathers what is told, and passes it on once in a while: at once the first time. */
function gathering(
  pass: (subjects: readonly string[]) => void,
): (subjects: readonly string[]) => void {
  const waiting = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | null = null;
  const flush = (): void => {
    timer = null;
    if (waiting.size === 0) return;
    pass([...waiting]);
    waiting.clear();
    timer = setTimeout(flush, REFRESH_MS);
  };
  return (subjects) => {
    for (const subject of subjects) waiting.add(subject);
    timer ??= setTimeout(flush, 50);
  };
}
