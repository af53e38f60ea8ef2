import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { METRICS, type Metric } from '../../src/server/platform/telemetry/index.js';
import { ROOT } from './tree.js';

const PAGE = join(ROOT, 'docs/metrics.md');
/** More values than fit into a cell. */
const VALUES_MAX = 14;

const valuesOf = (values: readonly string[]): string =>
  values.length > VALUES_MAX ? `${values.slice(0, 3).join(' ')} …` : values.join(' ');

const labelsOf = (labels: Metric['labels'] = {}): string =>
  Object.entries(labels)
    .map(([name, values]) => `\`${name}\`: ${valuesOf(values)}`)
    .join('; ');

const ROWS = Object.entries<Metric>(METRICS).map(
  ([name, { type, help, labels, of }]) =>
    `| \`${name}\` | ${type} | ${of ?? 'process'} | ${labelsOf(labels)} | ${help} |`,
);

const NAMES: ReadonlySet<string> = new Set(
  Object.entries<Metric>(METRICS).flatMap(([name, { type }]) =>
    type === 'histogram' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const namesIn = (text: string): string[] => [
  ...new Set(text.match(/\b(?:bellwether|process|nodejs)_[a-z0-9_]+/g) ?? []),
];

/** Each metric of the fleet, with how an expression aggregates it. */
const aggregationsIn = (expression: string): string[] =>
  Object.entries<Metric>(METRICS)
    .filter(([name, { of }]) => of === 'fleet' && new RegExp(`\\b${name}\\b`).test(expression))
    .filter(([name]) => {
      const uses = [...expression.matchAll(new RegExp(`\\b${name}\\b`, 'g'))];
      return !uses.every(({ index }) =>
        /\bmax(?: by \([\w, ]+\))? ?\($/.test(expression.slice(0, index)),
      );
    })
    .map(([name]) => `${name} in ${expression}`);

describe('docs/metrics.md', () => {
  it('has a row for each metric of the code, as it is there, and no others', () => {
    if (process.env['BELLWETHER_WRITE_METRICS_TABLE'] !== undefined) {
      const head = '| metric | type | of | labels | is |\n|---|---|---|---|---|';
      const table = `<!-- metrics -->\n\n${head}\n${ROWS.join('\n')}\n\n<!-- /metrics -->`;
      const text = textOf('docs/metrics.md');
      writeFileSync(PAGE, text.replace(/<!-- metrics -->[^]*<!-- \/metrics -->/, table));
    }
    const told = textOf('docs/metrics.md')
      .split('\n')
      .filter((line) => /^\| `(?:bellwether|process|nodejs)_/.test(line));
    expect(told).toEqual(ROWS);
  });

  it('names nothing else that is no metric', () => {
    expect(namesIn(textOf('docs/metrics.md')).filter((name) => !NAMES.has(name))).toEqual([]);
  });
});

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly id: number;
}

describe('deploy/grafana/bellwether.json', () => {
  const board = JSON.parse(textOf('deploy/grafana/bellwether.json')) as {
    readonly uid: string;
    readonly panels: readonly Panel[];
  };
  const expressions = board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  it('asks for metrics that exist only', () => {
    expect(expressions.length).toBeGreaterThan(25);
    expect(namesIn(expressions.join('\n')).filter((name) => !NAMES.has(name))).toEqual([]);
  });

  it('takes numbers of the fleet once, however many managers tell them', () => {
    expect(expressions.flatMap(aggregationsIn)).toEqual([]);
  });

  it('has a place and a number of its own for each panel', () => {
    const ids = board.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const cells = board.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(board.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('deploy/prometheus', () => {
  const alerts = textOf('deploy/prometheus/alerts.yml');
  const expressions = [...alerts.matchAll(/^ {8}expr: >-\n((?: {10,}.+\n)+)/gm)].map(
    ([, lines = '']) => lines.trim().replace(/\s+/g, ' '),
  );

  it('has alerts on metrics that exist only, each with what is wrong and what to do', () => {
    const count = [...alerts.matchAll(/- alert: /g)].length;
    expect(count).toBeGreaterThanOrEqual(12);
    expect(expressions).toHaveLength(count);
    expect([...alerts.matchAll(/^ +summary: /gm)]).toHaveLength(count);
    expect([...alerts.matchAll(/^ +description: /gm)]).toHaveLength(count);
    expect(namesIn(expressions.join('\n')).filter((name) => !NAMES.has(name))).toEqual([]);
    expect(expressions.flatMap(aggregationsIn)).toEqual([]);
  });

  it('reads the rules and scrapes where the manager tells', () => {
    const scrape = textOf('deploy/prometheus/prometheus.yml');
    expect(scrape).toContain('alerts.yml');
    expect(scrape).toContain('metrics_path: /metrics');
  });
});
