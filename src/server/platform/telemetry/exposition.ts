import type { Meters, Series } from './meters.js';
import { METRICS, type Metric, type MetricName } from './metrics.js';

/** The two text formats that Prometheus and its kin read. */
export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/**
 * What an `Accept` header asks for: OpenMetrics 1.0 when it is named and not with q=0, else the text
 * format 0.0.4, which everything reads.
 */
export function formatFor(accept: string | undefined): Format {
  const wants = (accept ?? '').slice(0, 1_024).split(',').some(isOpenMetrics);
  return wants ? 'openmetrics' : 'prometheus';
}

function isOpenMetrics(range: string): boolean {
  const [type = '', ...params] = range.split(';').map((part) => part.trim().toLowerCase());
  if (type !== 'application/openmetrics-text') return false;
  const version = params.find((one) => one.startsWith('version='));
  const isVersion = version === undefined || version === 'version=1.0.0';
  return isVersion && !params.some((one) => /^q=0(\.0{1,3})?$/.test(one));
}

/** Everything that is known, in the order of the table. A metric without a series is left out. */
export function exposition(meters: Meters, format: Format): string {
  const lines: string[] = [];
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const series = meters.seriesOf(name);
    if (series.length === 0) continue;
    const metric: Metric = METRICS[name];
    // OpenMetrics names the family of a counter without the suffix of its one sample.
    const isBare = format === 'openmetrics' && metric.type === 'counter';
    const family = isBare ? name.replace(/_total$/, '') : name;
    lines.push(`# HELP ${family} ${escapeHelp(metric.help)}`, `# TYPE ${family} ${metric.type}`);
    const names = Object.keys(metric.labels ?? {});
    for (const one of series) {
      const labels = one.labels.map((value, i) => `${names[i] ?? ''}="${escapeLabel(value)}"`);
      if (metric.buckets === undefined) lines.push(sample(name, labels, one.value));
      else lines.push(...histogram(name, labels, one, metric.buckets));
    }
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

function histogram(
  name: string,
  labels: readonly string[],
  series: Series,
  bounds: readonly number[],
): string[] {
  const lines: string[] = [];
  let count = 0;
  for (const [i, inBucket] of (series.buckets ?? []).entries()) {
    count += inBucket;
    const bound = bounds[i];
    const le = bound === undefined ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
    lines.push(sample(`${name}_bucket`, [...labels, `le="${le}"`], count));
  }
  return [
    ...lines,
    sample(`${name}_sum`, labels, series.value),
    sample(`${name}_count`, labels, count),
  ];
}

const sample = (name: string, labels: readonly string[], value: number): string =>
  `${name}${labels.length === 0 ? '' : `{${labels.join(',')}}`} ${numberText(value)}`;

const numberText = (value: number): string => {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
};

const escapeHelp = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replace(/"/g, '\\"');
