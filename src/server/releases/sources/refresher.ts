import { setTimeout as sleep } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { FleetError, HOUR_MS, MINUTE_MS, toIso } from '../../../core/kernel/index.js';
import type { Answer, SourceResult } from '../../../protocol/api/index.js';
import { AuditLog } from '../../audit/index.js';
import { CLOCK, systemCaller, type Caller, type Clock } from '../../platform/index.js';
import type { Wakeups } from '../../platform/queue/index.js';
import { pull, type Pulled, type Puller } from './pull.js';
import { readerOf } from './readers.js';
import { locationOf, type Source } from './source-file.js';
import { saveSource, sourceStates, type SourceState } from './sources.store.js';

export const SOURCES = Symbol('sources');
export const SOURCE_WAKEUPS = Symbol('source wake-ups');
export const PULLER = Symbol('puller');

/** After a failure a source is tried again: 1, 2, 4 ... minutes, up to an hour or its own pace. */
const BACKOFF_BASE_MS = MINUTE_MS;
/** One look, with all downloads; then it is given up and goes on at the next. */
const LOOK_TIMEOUT_MS = HOUR_MS;
/** Whoever asks by hand waits this long for the end. */
const ANSWER_AFTER_MS = 20_000;

const NEVER: SourceState = { etag: null, nextAt: 0, failures: 0, lastResult: null };

/**
 * Looks at each source when its time has come, or when somebody asks. One look at a source at a time;
 * what it found is stored, so that it outlives the process.
 */
@Injectable()
export class Refresher implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #running = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  /** For the sweep of the manager: an alarm that was lost is armed again. */
  readonly chore = {
    what: 'sources that were forgotten',
    find: async (now: number) => (await this.#overdue(now)).map((name) => this.#task(name, now)),
  };

  constructor(
    @Inject(SOURCES) private readonly sources: readonly Source[],
    @Inject(PULLER) private readonly puller: Puller,
    @Inject(SOURCE_WAKEUPS) private readonly wakeups: Wakeups,
    private readonly audit: AuditLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    wakeups.onWake((name) => this.#wake(name));
  }

  async onApplicationBootstrap(): Promise<void> {
    if (this.sources.length === 0) return;
    const states = await sourceStates(this.puller.database.read);
    for (const { name } of this.sources) this.wakeups.arm(name, states.get(name)?.nextAt ?? 0);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stop.abort();
    await this.wakeups.close();
    await Promise.allSettled(this.#running.values());
  }

  /** In the order of the file. */
  async list(): Promise<Answer<'sources.list'>['items']> {
    const states = await sourceStates(this.puller.database.read);
    return this.sources.map((source) => this.#view(source, states.get(source.name) ?? NEVER));
  }

  /**
   * Looks at a source now. Answers with its result, or while it still looks after twenty seconds. Throws
   * `not_found`. What goes wrong there is in the result.
   */
  async refresh(name: string, caller: Caller): Promise<Answer<'sources.refresh'>> {
    const source = this.#find(name);
    const states = await sourceStates(this.puller.database.read);
    const { etag: _, ...state } = states.get(name) ?? NEVER;
    await this.puller.database.transaction((tx) => this.#record(tx, name, caller));
    // Whoever asks by hand wants it looked through, whatever the tag says.
    if (!this.#running.has(name)) await this.#save(name, { ...state, etag: null });
    const patience = new AbortController();
    await Promise.race([
      this.#run(source),
      sleep(ANSWER_AFTER_MS, undefined, { signal: patience.signal }).catch(() => undefined),
    ]).finally(() => patience.abort());
    const now = (await sourceStates(this.puller.database.read)).get(name) ?? NEVER;
    return this.#view(source, now);
  }

  async #wake(name: string): Promise<void> {
    const source = this.sources.find((one) => one.name === name);
    if (source !== undefined && !this.#stop.signal.aborted) await this.#run(source);
  }

  #run(source: Source): Promise<void> {
    const running = this.#running.get(source.name);
    if (running !== undefined) return running;
    const run = this.#look(source).finally(() => this.#running.delete(source.name));
    this.#running.set(source.name, run);
    return run;
  }

  async #look(source: Source): Promise<void> {
    const before = (await sourceStates(this.puller.database.read)).get(source.name) ?? NEVER;
    const { etag, result } = await this.#result(source, before.etag);
    const now = this.clock.now();
    const failures = result.ok ? 0 : before.failures + 1;
    const state = { etag, failures, nextAt: now + waitMs(source, failures), lastResult: result };
    await this.#save(source.name, state);
    this.wakeups.arm(source.name, state.nextAt);
  }

  /** Never rejects: what went wrong is the result. */
  async #result(
    source: Source,
    etag: string | null,
  ): Promise<{ readonly etag: string | null; readonly result: SourceResult }> {
    const at = toIso(this.clock.now());
    try {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)]);
      const look = await readerOf(source).look(etag, signal);
      if (look.candidates === null) {
        const message = 'nothing has changed since the last look';
        return { etag, result: { at, ok: true, message, published: [], refused: [] } };
      }
      const caller = systemCaller(`source ${source.name}`);
      const products = source.products ?? null;
      const pulled = await pull(this.puller, look.candidates, { products, caller });
      const { published, refused } = pulled;
      const result = { at, ok: true, message: inWords(pulled), published, refused };
      // With something refused the list is looked through again: it may be mended there.
      return { etag: refused.length === 0 ? look.etag : null, result };
    } catch (error) {
      const code = error instanceof FleetError ? error.code : 'internal_error';
      const words = error instanceof Error ? error.message.slice(0, 500) : 'unknown';
      const message = `${words} [${code}]`;
      return { etag: null, result: { at, ok: false, message, published: [], refused: [] } };
    }
  }

  async #save(name: string, state: SourceState): Promise<void> {
    await this.puller.database.transaction((tx) => saveSource(tx, name, state));
  }

  async #overdue(now: number): Promise<string[]> {
    if (this.sources.length === 0) return [];
    const states = await sourceStates(this.puller.database.read);
    return this.sources
      .map(({ name }) => name)
      .filter((name) => !this.#running.has(name))
      .filter((name) => (states.get(name)?.nextAt ?? 0) < now - MINUTE_MS);
  }

  #task(name: string, now: number): { what: string; run: () => Promise<void> } {
    return { what: `source ${name}`, run: async () => this.wakeups.arm(name, now) };
  }

  #find(name: string): Source {
    const source = this.sources.find((one) => one.name === name);
    if (source !== undefined) return source;
    throw new FleetError('not_found', `no source ${name}`, { context: { missing: 'source' } });
  }

  #view(source: Source, state: SourceState): Answer<'sources.refresh'> {
    return {
      name: source.name,
      kind: source.kind,
      location: locationOf(source),
      every_seconds: source.every_minutes * 60,
      refreshing: this.#running.has(source.name),
      next_at: state.nextAt === 0 ? null : toIso(state.nextAt),
      failures: state.failures,
      last_result: state.lastResult,
    };
  }

  #record(tx: Parameters<AuditLog['append']>[0], name: string, caller: Caller): Promise<void> {
    return this.audit.append(tx, {
      caller,
      action: 'release_source.refresh',
      targetKind: 'release_source',
      targetId: name,
      groupId: null,
      outcome: 'allowed',
      details: {},
    });
  }
}

function waitMs({ every_minutes: minutes }: Source, failures: number): number {
  const usualMs = minutes * MINUTE_MS;
  if (failures === 0) return usualMs;
  return Math.min(Math.max(usualMs, HOUR_MS), BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 20));
}

const inWords = ({ published, refused, unchanged }: Pulled): string =>
  `${published.length} published, ${refused.length} refused, ${unchanged} unchanged`;
