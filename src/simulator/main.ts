import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { seedOf, work, workTogether, type Share } from './crew.js';
import { Tally } from './tally.js';
import { openWorldDatabase, runWorld } from './world/index.js';

const RUNS = 200;
/** Lines of the history of a failed run that are shown; all of them with `--only`. */
const HISTORY_LINES = 120;
const FAILURES_SHOWN = 3;
const PROGRESS_MS = 1_000;

const USAGE = `Usage: npm run sim -- [--runs N] [--seed S] [--only RUN] [--jobs N]
  --runs N    how many worlds (${RUNS})
  --seed S    what luck begins with; the same seed gives the same worlds (a new one each time)
  --only RUN  one run of a seed alone, with its whole history
  --jobs N    processes (as many as there are processors)`;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: String(RUNS) },
      seed: { type: 'string', default: Date.now().toString(36) },
      only: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      worker: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return 0;
  }
  if (values.worker !== undefined) {
    await work(JSON.parse(values.worker) as Share, (report) => process.send?.(report));
    return 0;
  }
  const { seed } = values;
  if (values.only !== undefined) return runOne(seed, whole('only', values.only, 0));
  const runs = whole('runs', values.runs, 1);
  return runAll({ seed, runs, jobs: Math.min(runs, whole('jobs', values.jobs, 1)) });
}

function whole(name: string, text: string, min: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min) return value;
  throw new Error(`--${name} ${text}: give a whole number from ${min} on`);
}

async function runAll(all: Omit<Share, 'index'>): Promise<number> {
  say(`simulator: ${all.runs} runs, seed ${all.seed}, ${all.jobs} processes`);
  const startedAt = Date.now();
  const tally = new Tally();
  const elapsedMs = (): number => Date.now() - startedAt;
  const isLive = process.stdout.isTTY;
  const progress = setInterval(
    () => {
      const line = tally.line(all.runs, elapsedMs());
      process.stdout.write(isLive ? `\r\u001b[K${line}` : `${line}\n`);
    },
    isLive ? PROGRESS_MS : 15 * PROGRESS_MS,
  );
  try {
    await workTogether(all, (report) => {
      tally.add(report);
    });
  } finally {
    clearInterval(progress);
    if (isLive) process.stdout.write('\r\u001b[K');
  }
  const took = elapsedMs();
  const failed = [...tally.violations].sort((a, b) => a.run - b.run);
  for (const { run } of failed.slice(0, FAILURES_SHOWN)) await show(all.seed, run, HISTORY_LINES);
  say(tally.summary(took));
  for (const { run, violation } of failed) {
    say(`\nrun ${run}: ${violation ?? ''}\n  npm run sim -- --seed ${all.seed} --only ${run}`);
  }
  return failed.length === 0 ? 0 : 1;
}

async function runOne(seed: string, run: number): Promise<number> {
  return (await show(seed, run, Infinity)) ? 1 : 0;
}

/** Runs it again with its history: a run is the same each time. True when something was wrong. */
async function show(seed: string, run: number, lines: number): Promise<boolean> {
  const database = await openWorldDatabase();
  try {
    const result = await runWorld({ seed: seedOf(seed, run), database, hasHistory: true });
    const shown = result.history.slice(-lines);
    const left = result.history.length - shown.length;
    say(`\n--- run ${run} of seed ${seed}${left > 0 ? `; ${left} lines before these` : ''}`);
    for (const line of shown) say(line);
    say(`--- ${result.violation?.message ?? 'nothing was wrong'}\n`);
    return result.violation !== null;
  } finally {
    await database.close();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`simulator: ${error instanceof Error ? error.message : String(error)}\n`);
  return 2;
});
// A worker's channel to its parent would keep it alive.
if (process.connected) process.disconnect();
