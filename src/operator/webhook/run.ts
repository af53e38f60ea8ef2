import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';
import { ANNOTATIONS, keyOf } from '../../core/workload/index.js';
import type { Log } from '../../agent/parts/index.js';
import { openSurroundings } from '../surroundings.js';
import { RefusalBox } from '../refusal-box.js';
import type { Surroundings } from '../workload-node.js';
import { Callers } from './callers.js';
import { CertificateKeeper } from './certificate-keeper.js';
import type { WebhookConfig } from './config.js';
import { inWords, Judge, type Judgement } from './judge.js';
import { Owners } from './owners.js';
import { RefusalBook } from './refusal-book.js';
import { ReleaseBook, type Trust } from './release-book.js';
import type { Asked, Verdict } from './review.js';
import { WebhookServer } from './server.js';
import { StatementStore } from './statements.js';

/** Certificates and configuration are looked after so often. */
const TEND_MS = 60_000;
const TEND_AGAIN_MS = 5_000;
const WORDS_MAX = 4;

export interface WebhookOptions {
  readonly config: WebhookConfig;
  readonly log: Log;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** For specs. */
  readonly times?: {
    readonly backoffMs?: number;
    readonly tendMs?: number;
    readonly flushMs?: number;
    readonly againMs?: number;
    /** Wall clock. */
    readonly now?: () => number;
  };
}

export interface RunningWebhook {
  readonly port: number;
  /** Looks after the certificates now. */
  tend(): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Listens when it resolves. Goes on until it is stopped; replicas know nothing of each other. */
export async function runWebhook(options: WebhookOptions): Promise<RunningWebhook> {
  const { config, log, times = {} } = options;
  const { operator } = config;
  const opened = await openSurroundings({ ...options, config: operator }, () => false);
  const clock = times.now === undefined ? opened.clock : { ...opened.clock, now: times.now };
  const around = { ...opened, clock };
  const { cluster } = around;
  const { owners, book, judge } = judgeOf(around, config, { log, backoffMs: times.backoffMs });
  const box = new RefusalBox(cluster, operator.namespace);
  const { flushMs, againMs } = times;
  const refusals = new RefusalBook({ box, mode: config.mode, clock, log, flushMs, againMs });
  const clientCaFile = config.clientCaFile;
  const server = new WebhookServer({
    host: config.host,
    port: config.port,
    clientCa: clientCaFile === undefined ? undefined : await readFile(clientCaFile, 'utf8'),
    decide: async (asked, untilMs) => {
      const judgement = await judge.judge(asked, untilMs);
      if (judgement.is === 'bad' && !asked.isDryRun) refusals.note(judgement.refusals);
      return verdictOf(judgement, config.mode, asked);
    },
    isReady: async () => owners.isReady && (await around.policy.read()).ok,
    log,
  });
  let listening: Promise<void> = Promise.resolve();
  const keeper = new CertificateKeeper({
    ...{ cluster, clock, log, namespace: operator.namespace },
    ...{ service: config.service, serviceNamespace: config.serviceNamespace },
    ...{ secret: config.secret, configuration: config.configuration },
    onServing: (pair) => {
      listening = server.serve(pair);
      // Told where it is waited for.
      listening.catch(() => undefined);
    },
  });
  owners.start();
  refusals.start();
  const tending = new Tending(
    async () => {
      await keeper.tend();
      await listening;
    },
    times.tendMs ?? TEND_MS,
    log,
  );
  await tending.first();
  let stopped: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    await tending.stop();
    await server.stop();
    await Promise.all([owners.stop(), book.stop()]);
    await refusals.stop();
    cluster.client.close();
  };
  return { port: server.port, tend: () => tending.once(), stop: () => (stopped ??= stop()) };
}

/** What decides, and what it knows. */
function judgeOf(
  around: Surroundings,
  config: WebhookConfig,
  { log, backoffMs }: { readonly log: Log; readonly backoffMs: number | undefined },
): { readonly owners: Owners; readonly book: ReleaseBook; readonly judge: Judge } {
  const { cluster, clock } = around;
  const { mode, namespace, watchNamespace } = config.operator;
  const { namespaces, excluded, freshMs, staleMs } = config;
  const owners = new Owners({ cluster, namespace: watchNamespace, mode, log, backoffMs });
  const trust = () => trustOf(around);
  const book = new ReleaseBook({
    callers: new Callers(around),
    store: new StatementStore(cluster, namespace),
    others: () => owners.all,
    ...{ trust, freshMs, staleMs, clock, log },
  });
  const judge = new Judge({
    ...{ cluster, owners, book, trust, clock, mode },
    ...{ namespace, watchNamespace, namespaces, excluded },
  });
  return { owners, book, judge };
}

/** Throws `admission_undecided` while there is no policy that can be read. */
async function trustOf({ policy }: Surroundings): Promise<Trust> {
  const read = await policy.read();
  if (!read.ok) throw new FleetError('admission_undecided', read.error.message);
  return { policy: read.value, trust: await policy.trust() };
}

/** The certificates, now and then; one turn after another. */
class Tending {
  readonly #work: () => Promise<void>;
  readonly #everyMs: number;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  #turn: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();

  constructor(work: () => Promise<void>, everyMs: number, log: Log) {
    this.#work = work;
    this.#everyMs = everyMs;
    this.#log = log;
  }

  once(): Promise<void> {
    const done = this.#turn.then(this.#work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Resolves once it went well; without a certificate nothing can be served. */
  async first(): Promise<void> {
    while (!(await this.#tried())) await this.#sleep(TEND_AGAIN_MS);
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#turn;
  }

  async #run(): Promise<void> {
    let isWell = true;
    for (;;) {
      await this.#sleep(isWell ? this.#everyMs : Math.min(TEND_AGAIN_MS, this.#everyMs));
      if (this.#stopping.signal.aborted) return;
      isWell = await this.#tried();
    }
  }

  async #tried(): Promise<boolean> {
    try {
      await this.once();
      return true;
    } catch (error) {
      // A port that is taken, an address that is not here: no use in trying again.
      if (error instanceof Error && 'syscall' in error) throw error;
      this.#log('certificates cannot be looked after', { error: String(error) });
      return false;
    }
  }

  async #sleep(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    await sleep(ms, null, { signal }).catch(() => undefined);
  }
}

function verdictOf(judgement: Judgement, mode: WebhookConfig['mode'], asked: Asked): Verdict {
  const said = { isAllowed: true, message: '', warnings: [] };
  if (judgement.is === 'not_ours') return { ...said, notes: {} };
  if (judgement.is === 'good') {
    const { workload, versions } = judgement;
    const product = productOf(workload.annotations);
    return { ...said, notes: { workload: keyOf(workload), product, versions: versions.join(',') } };
  }
  const [first] = judgement.refusals;
  const words = judgement.refusals.slice(0, WORDS_MAX).map(inWords);
  const notes = {
    workload: keyOf(first.workload),
    product: productOf(first.workload.annotations),
    refused: first.code,
    image: first.image.slice(0, 512),
    ...(asked.isDryRun ? { dry_run: 'true' } : {}),
  };
  if (mode === 'warn') return { ...said, warnings: words, notes };
  return { isAllowed: false, message: words.join('; '), warnings: [], notes };
}

const productOf = (annotations: Readonly<Record<string, string>>): string =>
  (annotations[ANNOTATIONS.product] ?? '').slice(0, 64);
