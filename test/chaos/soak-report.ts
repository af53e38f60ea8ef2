import { slopeOf, surelyRoseBy } from './slopes.js';

export interface Sample {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly rollouts: number;
  readonly values: Readonly<Record<string, number>>;
}

export interface Line {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly mean: number;
  readonly perHour: number;
  readonly marginPerHour: number;
  /** What it may surely rise by in all. */
  readonly mayRise: number;
  readonly surelyRose: number;
  readonly isOk: boolean;
}

const MIB = 1024 ** 2;

/** Caches fill and the JIT warms up: the first quarter does not count. */
const WARM_UP_SHARE = 0.25;

/**
 * Tables that keep what happened until retention takes it away (30 days and more), with the rows that one rollout
 * of `nodes` may leave. All others hold what is so now, and may not rise with time.
 */
const KEPT: Readonly<Record<string, (nodes: number) => number>> = {
  events: (nodes) => 20 * nodes + 50,
  event_blocks: () => 60,
  event_counts: () => 60,
  event_marks: () => 60,
  event_segments: () => 30,
  event_segment_parts: () => 60,
  rollouts: () => 1,
  rollout_targets: (nodes) => nodes,
  rollout_journal: (nodes) => 20 * nodes + 20,
  commands: (nodes) => 2 * nodes,
  releases: () => 1,
  release_blobs: () => 1,
  audit_entries: () => 20,
  audit_tree: () => 20,
  audit_nodes: () => 40,
  audit_checkpoints: () => 20,
  idempotency_keys: () => 2,
  fleet_spans: () => 20,
};

/** What may be there besides: node tokens that were used are kept for some minutes. */
const flatRows = (nodes: number): number => 20 * nodes + 50;

function mayRise(name: string, mean: number, nodes: number, rollouts: number): number {
  if (name.includes('bytes'))
    return Math.max(name.includes('rss') ? 24 * MIB : 6 * MIB, 0.05 * mean);
  if (!name.startsWith('rows ')) return Math.max(10, 0.1 * mean);
  const kept = KEPT[name.slice('rows '.length)];
  return kept === undefined ? flatRows(nodes) : kept(nodes) * (rollouts + 1) + flatRows(nodes);
}

/** A line for each number: how it rose, and whether that is explained. */
export function judgeSoak(samples: readonly Sample[], nodes: number): readonly Line[] {
  const counted = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const [first, last] = [counted[0], counted.at(-1)];
  if (first === undefined || last === undefined) return [];
  const seconds = last.at - first.at;
  return Object.keys(last.values).flatMap((name) => {
    const points = counted.map(({ at, values }) => ({ at, value: values[name] ?? 0 }));
    const slope = slopeOf(points);
    if (slope === null) return [];
    const may = mayRise(name, slope.mean, nodes, last.rollouts - first.rollouts);
    const rose = surelyRoseBy(slope, seconds);
    return {
      name,
      first: points[0]?.value ?? 0,
      last: points.at(-1)?.value ?? 0,
      mean: slope.mean,
      perHour: slope.perSecond * 3_600,
      marginPerHour: slope.margin * 3_600,
      mayRise: may,
      surelyRose: rose,
      isOk: rose <= may,
    };
  });
}

const shown = (name: string, value: number): string =>
  name.includes('bytes') ? `${(value / MIB).toFixed(1)} MiB` : value.toFixed(1);

export function soakMarkdown(
  lines: readonly Line[],
  head: {
    readonly minutes: number;
    readonly rollouts: number;
    readonly samples: number;
    readonly nodes: number;
  },
  findings: readonly string[],
): string {
  return [
    '# Soak',
    '',
    `${head.minutes} minutes, ${head.nodes} nodes, ${head.rollouts} rollouts one after the other, ${head.samples} samples.`,
    'The slope is by least squares over the last three quarters, with its 95 % interval; a number fails when even the low end of',
    'that rises by more than it may.',
    '',
    '| what | first | last | slope an hour | surely rose by | may rise by | |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...lines.map(
      ({ name, first, last, perHour, marginPerHour, surelyRose, mayRise: may, isOk }) => {
        const cells = [first, last].map((value) => shown(name, value));
        const slope = `${shown(name, perHour)} ± ${shown(name, marginPerHour)}`;
        return `| ${[name, ...cells, slope, shown(name, surelyRose), shown(name, may)].join(' | ')} | ${isOk ? 'ok' : '**RISES**'} |`;
      },
    ),
    '',
    ...findings.map((what) => `- ${what}`),
    '',
  ].join('\n');
}
