import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readExposition } from '../../../../test/support/telemetry/prometheus-text.js';
import { exposition, formatFor, Meters, METRICS, type Metric, type MetricName } from './index.js';

const NAMES = Object.keys(METRICS) as MetricName[];
const widthOf = (name: MetricName): number =>
  Object.keys((METRICS[name] as Metric).labels ?? {}).length;
/** With `other` in each label. */
const mostSeriesOf = (name: MetricName): number =>
  Object.values((METRICS[name] as Metric).labels ?? {}).reduce(
    (product, set) => product * (set.length + 1),
    1,
  );

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '"} 1\nevil 2',
    '\\',
    '__proto__',
    'constructor',
    '',
    ' ',
    'nod_7f3a',
    'x'.repeat(9_999),
  ),
  fc.constantFrom(
    ...NAMES.flatMap((n) => Object.values((METRICS[n] as Metric).labels ?? {}).flat()),
  ),
);

describe('meters', () => {
  it('hold no more series than the table allows, whatever is told, and stay readable', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            name: fc.constantFrom(...NAMES),
            labels: fc.array(hostile, { maxLength: 4 }),
            value: fc.double({ min: 0, noNaN: true }),
          }),
          { maxLength: 200 },
        ),
        (told) => {
          const meters = new Meters();
          for (const { name, labels, value } of told) {
            const { type } = METRICS[name];
            if (type === 'histogram') meters.observe(name as never, value, ...labels);
            else if (type === 'counter') meters.add(name as never, value, ...labels);
            else meters.set(name as never, value, ...labels);
          }
          for (const name of NAMES) {
            const series = meters.seriesOf(name);
            expect(series.length).toBeLessThanOrEqual(mostSeriesOf(name));
            const sets = Object.values((METRICS[name] as Metric).labels ?? {});
            for (const { labels } of series) {
              expect(labels).toHaveLength(widthOf(name));
              labels.forEach((label, i) => expect([...(sets[i] ?? []), 'other']).toContain(label));
            }
          }
          readExposition(exposition(meters, 'prometheus'), 'prometheus');
          readExposition(exposition(meters, 'openmetrics'), 'openmetrics');
        },
      ),
      { numRuns: 60 },
    );
  });

  it('have a bound on all series together that a small Prometheus bears', () => {
    const lines = NAMES.reduce((sum, name) => {
      const buckets = (METRICS[name] as Metric).buckets?.length;
      return sum + mostSeriesOf(name) * (buckets === undefined ? 1 : buckets + 3);
    }, 0);
    expect(lines).toBeLessThan(10_000);
  });

  it('count what has a value outside of its set under other, and the rest where it belongs', () => {
    const meters = new Meters();
    meters.count('bellwether_link_messages_received_total', 'health');
    meters.count('bellwether_link_messages_received_total', 'nod_1');
    meters.count('bellwether_link_messages_received_total', 'nod_2');
    const counts = new Map(
      meters
        .seriesOf('bellwether_link_messages_received_total')
        .map(({ labels, value }) => [labels[0], value]),
    );
    expect(counts.get('health')).toBe(1);
    expect(counts.get('other')).toBe(2);
    expect(counts.get('hello')).toBe(0);
  });

  it('put a value on the bound of a bucket into that bucket, and what is above all into the last', () => {
    const meters = new Meters();
    for (const value of [0, 0.001, 0.002, 11]) meters.observe('bellwether_sweep_seconds', value);
    const text = exposition(meters, 'prometheus');
    expect(text).toContain('bellwether_sweep_seconds_bucket{le="0.001"} 2\n');
    expect(text).toContain('bellwether_sweep_seconds_bucket{le="0.005"} 3\n');
    expect(text).toContain('bellwether_sweep_seconds_bucket{le="10.0"} 3\n');
    expect(text).toContain('bellwether_sweep_seconds_bucket{le="+Inf"} 4\n');
    expect(text).toContain('bellwether_sweep_seconds_sum 11.003\n');
    expect(text).toContain('bellwether_sweep_seconds_count 4\n');
  });

  it('are asked for in the format of the Accept header', () => {
    const asked: readonly (readonly [string | undefined, string])[] = [
      [undefined, 'prometheus'],
      ['*/*', 'prometheus'],
      ['text/plain;version=0.0.4', 'prometheus'],
      ['application/openmetrics-text', 'openmetrics'],
      ['application/openmetrics-text; version=1.0.0; charset=utf-8', 'openmetrics'],
      ['text/plain;q=0.5, Application/OpenMetrics-Text;version=1.0.0;q=0.8', 'openmetrics'],
      ['application/openmetrics-text;version=2.0.0', 'prometheus'],
      ['application/openmetrics-text;q=0.0, text/plain', 'prometheus'],
      [`${'x,'.repeat(5_000)}application/openmetrics-text`, 'prometheus'],
    ];
    expect(asked.map(([accept]) => formatFor(accept))).toEqual(asked.map(([, format]) => format));
  });
});
