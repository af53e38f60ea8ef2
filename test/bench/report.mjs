// What came out of a bench, for people.
import { isMet, limitOf, TARGETS } from './targets.mjs';

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));

/** Comparisons of the same words, over all runs, as one. */
export function mediansOf(lines) {
  const groups = new Map();
  for (const line of lines) {
    const key = `${line.row ?? ''} ${line.what ?? ''}`;
    groups.set(key, [...(groups.get(key) ?? []), line]);
  }
  return [...groups.values()].map((same) => {
    const [first] = same;
    const { row = null, what = null, unit = null } = first;
    if (first.skipped !== undefined) return { row, skipped: first.skipped };
    const measured = median(same.map((line) => line.measured[1]));
    const baseline = median(same.map((line) => line.baseline[1]));
    const ratios = same.map((line) => line.measured[1] / line.baseline[1]).filter(Number.isFinite);
    return {
      ...{ row, what, unit, runs: same.length },
      baseline: { what: first.baseline[0], value: baseline },
      measured: { what: first.measured[0], value: measured },
      // A baseline of nothing has no ratio.
      ratio: median(ratios) ?? null,
      ratio_from: ratios.length > 0 ? Math.min(...ratios) : null,
      ratio_to: ratios.length > 0 ? Math.max(...ratios) : null,
    };
  });
}

/** Of several comparisons for one target, the one that is furthest from it. */
export function worstFor(target, rows) {
  const own = rows.filter((one) => one.row === target.row && one.skipped === undefined);
  const valueOf = (one) => (target.by === 'ratio' ? one.ratio : one.measured.value);
  const sorted = own
    .filter((one) => valueOf(one) !== null)
    .sort((a, b) =>
      target.most === undefined ? valueOf(a) - valueOf(b) : valueOf(b) - valueOf(a),
    );
  return sorted[0];
}

export function tableOf({ rows }) {
  const lines = TARGETS.map((target) => {
    const found = worstFor(target, rows);
    const skipped = rows.find((one) => one.row === target.row && one.skipped !== undefined);
    if (found === undefined) {
      const why = skipped === undefined ? 'not in this run' : skipped.skipped;
      return `| ${target.what} | ${limitOf(target)} | – | – | – | ${why} |`;
    }
    const { baseline, measured, ratio, unit } = found;
    const met = isMet(target, { ratio, measured: measured.value });
    return (
      `| ${target.what} | ${limitOf(target)} | ${baseline.what} ${round(baseline.value)} ${unit} | ` +
      `${round(measured.value)} ${unit} | ${ratio === null ? '–' : round(ratio)} | ${met ? 'met' : '**not met**'} |`
    );
  });
  return [
    '| what | target | baseline | Bellwether | ratio | |',
    '|---|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

const restOf = ({ rows }) =>
  rows
    .filter(({ skipped }) => skipped === undefined)
    .map(
      ({ what, unit, baseline, measured, ratio }) =>
        `| ${what} | ${baseline.what} ${round(baseline.value)} ${unit} | ` +
        `${measured.what} ${round(measured.value)} ${unit} | ${ratio === null ? '–' : round(ratio)} |`,
    )
    .join('\n');

export const pageOf = (result) => `# Bench of ${result.at.slice(0, 16).replace('T', ' ')} UTC

Commit \`${result.commit}\`${result.quick ? ', quick (few nodes, one round: rough)' : ''}; ${result.machine.processors} processors (${result.machine.model}), Node ${result.machine.node}, Linux ${result.machine.kernel}; ${result.minutes} minutes.
Again: \`${result.command}\`

${tableOf(result)}

## All that was measured

| what | baseline | Bellwether | ratio |
|---|---|---|---|
${restOf(result)}
`;
