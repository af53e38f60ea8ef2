// `npm run bench`: runs the benches, takes medians over the runs, and writes what came out as JSON and Markdown.
//
//   npm run bench -- [--quick] [--runs N] [--keep] [--profile] [NAME...]
//
// NAME: only files with that in their name. --keep: into test/bench/results, to be committed, with the chart over all that is
// kept there; otherwise into dist/bench. --profile: where the time of each server went, into dist/bench/profiles; it slows them.
// It judges nothing: noise must not make a build fail.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chartOf } from './chart.mjs';
import { mediansOf, pageOf, tableOf } from './report.mjs';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const KEPT = join(ROOT, 'test/bench/results');
/** What fits into three minutes on two processors. */
const QUICK = ['sockets', 'wave-start', 'artifacts', 'simulator'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    runs: { type: 'string', default: '1' },
  },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1 || runs > 20) throw new Error('--runs: from 1 to 20');

const folder = mkdtempSync(join(tmpdir(), 'bellwether-bench-'));
const rowsFile = join(folder, 'rows.jsonl');
writeFileSync(rowsFile, '');
const words = positionals.length > 0 ? positionals : values.quick ? QUICK : [];
const startedAt = Date.now();
let exitCode = 0;
for (let run = 0; run < runs; run += 1) {
  const done = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--config', 'test/bench/vitest.config.ts', ...words],
    ],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: {
        ...process.env,
        BELLWETHER_BENCH_ROWS: rowsFile,
        // Built a moment ago by `npm run bench` itself.
        BELLWETHER_BENCH_PROGRAMS: join(ROOT, 'dist/src'),
        ...(values.profile ? { BELLWETHER_BENCH_PROFILES: join(ROOT, 'dist/bench/profiles') } : {}),
        ...(values.quick ? { BELLWETHER_BENCH_QUICK: '1', EVENTS_BENCH_ROWS: '100000' } : {}),
      },
    },
  );
  exitCode = done.status ?? 1;
}

const lines = readFileSync(rowsFile, 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line));
rmSync(folder, { recursive: true, force: true });
const git = (...args) =>
  spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout?.trim() ?? '';
const commit = git('rev-parse', '--short=10', 'HEAD') || 'unknown';
const result = {
  schema: 'bellwether.bench.v1',
  at: new Date(startedAt).toISOString(),
  minutes: Math.round((Date.now() - startedAt) / 6_000) / 10,
  commit: git('status', '--porcelain', '--', 'src') === '' ? commit : `${commit}+`,
  quick: values.quick,
  runs,
  machine: {
    processors: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    memory_gib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.versions.node,
  },
  command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
  rows: mediansOf(lines),
};

const out = values.keep ? KEPT : join(ROOT, 'dist/bench');
mkdirSync(out, { recursive: true });
const name = `${result.at.slice(0, 19).replaceAll(':', '')}-${result.commit.replace('+', '-changed')}`;
writeFileSync(join(out, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
const kept = readdirSync(out)
  .filter((file) => file.endsWith('.json'))
  .sort()
  .map((file) => JSON.parse(readFileSync(join(out, file), 'utf8')));
writeFileSync(join(out, 'ratios.svg'), chartOf(kept));
const table = tableOf(result);
writeFileSync(join(out, `${name}.md`), pageOf(result));
process.stdout.write(`\n${table}\n\n${join(out, name)}.json, .md, and ratios.svg beside them\n`);
process.exitCode = exitCode;
