import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { keyOf, type WorkloadKind, type WorkloadView } from '../../core/workload/index.js';
import type { Log } from '../../agent/parts/index.js';
import { isStatus, KubeError } from './client.js';
import { listPath, type Cluster } from './cluster.js';
import { viewOf, Workload } from './views.js';

const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 30_000;
/** A watch that says nothing, not even a bookmark, for so long is taken for dead. */
const WATCH_SECONDS = 300;
/** A list of many pages and a watch that says nothing come to their end in this time, also with a pause after. */
const TURN_MS = 900_000;

const Told = z.object({ type: z.string(), object: z.unknown() });
const Bookmark = z.object({ metadata: z.object({ resourceVersion: z.string() }) });
const Failure = z.looseObject({ code: z.int().default(0), message: z.string().default('') });

export interface WatchOptions {
  readonly cluster: Cluster;
  readonly kind: WorkloadKind;
  readonly namespace: string | null;
  readonly onChange: (kind: WorkloadKind, all: ReadonlyMap<string, WorkloadView>) => void;
  readonly log: Log;
  /** Told as it goes on; within what time it will be again, while it goes on. */
  readonly onTurn?: (withinMs: number) => void;
  /** For specs. */
  readonly backoffMs?: number;
}

/**
 * All workloads of one kind, kept up to date: lists, then watches from there. A version that is too
 * old (410) makes it list again; an API server that is away is asked again, ever more seldom; what is
 * known stays known meanwhile.
 */
export class WorkloadWatch {
  readonly #options: WatchOptions;
  readonly #stopping = new AbortController();
  #known = new Map<string, WorkloadView>();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const first = this.#options.backoffMs ?? BACKOFF_MS_MIN;
    let version: string | null = null;
    let waitMs = first;
    while (!signal.aborted) {
      this.#options.onTurn?.(TURN_MS);
      try {
        version ??= await this.#list();
        version = await this.#watch(version);
        waitMs = first;
      } catch (error) {
        // It may have been while somebody was waited for.
        if (this.#isStopping()) return;
        if (isStatus(error, 410)) version = null;
        else this.#options.log('workloads cannot be watched', { error: String(error) });
        await sleep(waitMs * (0.75 + Math.random() / 2), null, { signal }).catch(() => undefined);
        waitMs = Math.min(BACKOFF_MS_MAX, waitMs * 2);
      }
    }
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #list(): Promise<string> {
    const { cluster, kind, namespace } = this.#options;
    const { version, items } = await cluster.workloads(kind, namespace);
    this.#known = new Map(items.map((view) => [keyOf(view), view]));
    this.#options.onChange(kind, this.#known);
    return version;
  }

  async #watch(from: string): Promise<string> {
    const { cluster, kind, namespace } = this.#options;
    let version = from;
    const silent = AbortSignal.timeout((WATCH_SECONDS + 30) * 1_000);
    const lines = cluster.client.lines(listPath(kind, namespace), {
      query: {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: from,
        timeoutSeconds: String(WATCH_SECONDS),
      },
      signal: AbortSignal.any([this.#stopping.signal, silent]),
    });
    for await (const line of lines) version = this.#take(line) ?? version;
    return version;
  }

  /** The version that is known now. */
  #take(line: unknown): string | null {
    const { kind, onChange, onTurn } = this.#options;
    onTurn?.(TURN_MS);
    const told = Told.safeParse(line);
    if (!told.success) throw new KubeError(0, 'Unreadable', 'a watch told what cannot be read');
    const { type, object } = told.data;
    if (type === 'ERROR') {
      const { code, message } = Failure.parse(object);
      throw new KubeError(code, 'Watch', message);
    }
    if (type === 'BOOKMARK') return Bookmark.parse(object).metadata.resourceVersion;
    const parsed = Workload.safeParse(object);
    if (!parsed.success) return null;
    const view = viewOf(kind, parsed.data);
    if (type === 'DELETED') this.#known.delete(keyOf(view));
    else this.#known.set(keyOf(view), view);
    onChange(kind, this.#known);
    return view.resourceVersion;
  }
}
