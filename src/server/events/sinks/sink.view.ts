import { durationInWords, toIso } from '../../../core/kernel/index.js';
import type { Sink } from '../../../protocol/api/index.js';
import type { SinkRecord } from './sinks.store.js';

/** What a sink is behind, and what it could not deliver. */
export interface SinkLag {
  readonly events: number;
  readonly ms: number;
  readonly deadLetters: number;
}

const stateOf = (sink: SinkRecord, lag: SinkLag): Sink['state'] => {
  if (sink.isPaused) return 'paused';
  if (sink.place.circuit.failures > 0) return 'failing';
  return lag.events === 0 ? 'waiting' : 'delivering';
};

/** One sentence: what goes on, and what to look at. */
export function healthOf(sink: SinkRecord, lag: SinkLag, now: number): string {
  const { circuit, error } = sink.place;
  const behind =
    lag.events === 0
      ? 'nothing waits'
      : `${lag.events} behind, the oldest by ${durationInWords(lag.ms)}`;
  const letters = lag.deadLetters === 0 ? '' : `; ${lag.deadLetters} dead letters`;
  if (sink.isPaused) return `paused; ${behind}${letters}`;
  if (circuit.failures > 0) {
    const wait = Math.max(0, circuit.nextTryAt - now);
    const next = wait === 0 ? 'is tried now' : `is tried again in ${durationInWords(wait)}`;
    return `${error?.message ?? 'it fails'}; ${next}; ${behind}${letters}`;
  }
  return `delivers; ${behind}${letters}`;
}

export function sinkView(sink: SinkRecord, lag: SinkLag, now: number): Sink {
  const { place } = sink;
  const { circuit, error } = place;
  return {
    id: sink.id,
    name: sink.name,
    kind: sink.kind,
    group_id: sink.groupId,
    config: { ...sink.config },
    credentials: [...sink.credentialNames],
    filter: {
      categories: copy(sink.filter.categories),
      types: copy(sink.filter.types),
      error_codes: copy(sink.filter.error_codes),
      min_severity: sink.filter.min_severity,
      groups: copy(sink.filter.groups),
    },
    state: stateOf(sink, lag),
    health: healthOf(sink, lag, now),
    cursor: place.cursor,
    lag: { events: lag.events, seconds: Math.round(lag.ms / 1000) },
    delivered: place.delivered,
    missed: place.missed,
    dead_letters: lag.deadLetters,
    last_delivered_at: momentOf(place.lastDeliveredAt),
    circuit: {
      state: circuit.state,
      since: toIso(circuit.since),
      failures: circuit.failures,
      next_try_at: circuit.nextTryAt === 0 ? null : toIso(circuit.nextTryAt),
      last_error:
        error === null ? null : { code: error.code, message: error.message, at: toIso(error.at) },
    },
    created_at: toIso(sink.createdAt),
    updated_at: toIso(sink.updatedAt),
  };
}

const copy = (list: readonly string[] | null): string[] | null =>
  list === null ? null : [...list];
const momentOf = (at: number | null): string | null => (at === null ? null : toIso(at));
