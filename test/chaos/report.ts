import type { Outcome } from './one-run.js';

/** A run in one line. */
export function lineOf({ seed, where, ms, numbers, violations }: Outcome): string {
  const how = violations.length === 0 ? 'ok ' : 'BAD';
  const seconds = `${Math.round(ms / 1_000)} s`;
  if (numbers === null) return `${how} seed ${seed} (${where}), ${seconds}: ${violations[0] ?? ''}`;
  const atOnce = Object.values(numbers.most_at_once).join(', ');
  return (
    `${how} seed ${seed} (${where}), ${seconds}: ${numbers.commands} commands, ` +
    `${numbers.upgraded} upgraded, ${numbers.rolled_back} turned back, ${numbers.swaps} swaps ` +
    `(at once ${atOnce}), ${numbers.events_made} events made, ${numbers.events_lost} lost, ` +
    `${numbers.events_doubled} doubled, ${numbers.gaps} gaps, ${numbers.wrong_version} on a wrong version, ` +
    `${numbers.stuck} stuck, ended ${Math.round((numbers.recover_ms ?? 0) / 1_000)} s after the faults` +
    (numbers.resumed > 0 ? `, ${numbers.resumed} resumed` : '')
  );
}

/** What somebody needs who looks at a violation. */
export const detailsOf = ({ violations, history, folder }: Outcome): string =>
  [
    ...violations.map((what) => `  - ${what}`),
    ...history.map((what) => `    ${what}`),
    `    files: ${folder}`,
  ].join('\n');

const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;

/** All runs as Markdown. */
export function summaryOf(outcomes: readonly Outcome[]): string {
  const numbers = outcomes.flatMap((one) => one.numbers ?? []);
  const sum = (of: (one: (typeof numbers)[number]) => number): number =>
    numbers.reduce((total, one) => total + of(one), 0);
  const bad = outcomes.filter(({ violations }) => violations.length > 0);
  const recovery = numbers.flatMap(({ recover_ms: ms }) => ms ?? []);
  const struck = new Map<string, number>();
  for (const { history } of outcomes) {
    for (const [, name = ''] of history.flatMap((line) => [
      /ms {2}(\S+) strikes$/.exec(line) ?? [],
    ])) {
      if (name !== '') struck.set(name, (struck.get(name) ?? 0) + 1);
    }
  }
  const rows: (readonly [string, number | string])[] = [
    ['runs', outcomes.length],
    ['runs with a violation', bad.length],
    ['commands', sum((one) => one.commands)],
    ['nodes upgraded', sum((one) => one.upgraded)],
    ['nodes turned back', sum((one) => one.rolled_back)],
    ['swaps, as nodes counted them', sum((one) => one.swaps)],
    ['swaps done twice', sum((one) => one.swaps_twice)],
    ['events made by nodes', sum((one) => one.events_made)],
    ['events lost', sum((one) => one.events_lost)],
    ['events doubled', sum((one) => one.events_doubled)],
    ['gaps in the log', sum((one) => one.gaps)],
    ['audit log not verified', numbers.filter(({ audit }) => !audit.startsWith('ok')).length],
    [
      'event log not verified',
      numbers.filter((one) => !one.events_verified.startsWith('ok')).length,
    ],
    ['nodes on a wrong version', sum((one) => one.wrong_version)],
    ['rollouts stuck', sum((one) => one.stuck)],
    ['from the end of the faults to the end of the rollouts, median', `${median(recovery)} ms`],
    ['and at most', `${Math.max(0, ...recovery)} ms`],
  ];
  return [
    '# Chaos',
    '',
    '| what | in all |',
    '| --- | --- |',
    ...rows.map(([what, value]) => `| ${what} | ${value} |`),
    '',
    '| fault | struck |',
    '| --- | --- |',
    ...[...struck].sort().map(([name, count]) => `| ${name} | ${count} |`),
    '',
    ...outcomes.map((one) => `- ${lineOf(one)}`),
    ...bad.flatMap((one) => ['', `## Seed ${one.seed}`, '', detailsOf(one)]),
    '',
  ].join('\n');
}
