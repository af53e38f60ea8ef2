/**
 * The text formats of Prometheus (0.0.4) and OpenMetrics (1.0), read strictly from their published
 * descriptions: what a lenient server would forgive is an error here. Knows nothing of who wrote it.
 */
export interface ReadFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  /** By the whole name with its labels, as it stood there. */
  readonly samples: Map<string, ReadSample>;
}
export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const VALUE = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)$/;
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped'];

export function readExposition(
  text: string,
  format: 'prometheus' | 'openmetrics',
): Map<string, ReadFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line must end with a line feed');
  if (text.includes('\r')) throw new Error('a carriage return');
  const lines = text.slice(0, -1).split('\n');
  if (format === 'openmetrics' && lines.pop() !== '# EOF') throw new Error('no # EOF at the end');
  const families = new Map<string, ReadFamily>();
  let help: { readonly name: string; readonly text: string } | null = null;
  let current: ReadFamily | null = null;
  for (const line of lines) {
    if (line === '' || line !== line.trim()) throw new Error(`an odd line: ${line}`);
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      if (help !== null) throw new Error(`HELP of ${help.name} has no TYPE`);
      if (families.has(name)) throw new Error(`${name} comes twice`);
      help = { name, text: rest };
    } else if (kind === 'TYPE') {
      if (help?.name !== name) throw new Error(`TYPE of ${name} without its HELP before it`);
      if (!NAME.test(name) || !TYPES.includes(rest)) throw new Error(`an odd TYPE: ${line}`);
      current = { name, help: help.text, type: rest, samples: new Map() };
      families.set(name, current);
      help = null;
    } else if (line.startsWith('#')) {
      throw new Error(`an odd comment: ${line}`);
    } else {
      if (current === null || help !== null) throw new Error(`a sample of nothing: ${line}`);
      const { key, sample } = readSample(line);
      if (!belongs(sample.name, current, format)) {
        throw new Error(`${sample.name} does not belong to ${current.name}`);
      }
      if (current.samples.has(key)) throw new Error(`${key} comes twice`);
      current.samples.set(key, sample);
    }
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function readSample(line: string): { readonly key: string; readonly sample: ReadSample } {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0] ?? '';
  const labels: Record<string, string> = {};
  let at = name.length;
  if (line[at] === '{') {
    at += 1;
    while (line[at] !== '}') {
      const found = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"(,?)/.exec(line.slice(at));
      if (found === null) throw new Error(`labels that cannot be read: ${line}`);
      const [whole, label = '', value = '', comma] = found;
      if (!LABEL_NAME.test(label) || label.startsWith('__') || label in labels) {
        throw new Error(`label ${label} in ${line}`);
      }
      labels[label] = value;
      at += whole.length;
      if (comma === '' && line[at] !== '}') throw new Error(`no comma in ${line}`);
    }
    at += 1;
  }
  const value = line.slice(at + 1);
  if (name === '' || line[at] !== ' ' || !VALUE.test(value)) throw new Error(`odd: ${line}`);
  const number = value.endsWith('Inf') ? (value.startsWith('-') ? -Infinity : Infinity) : +value;
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const key = `${name}${JSON.stringify(sorted)}`;
  return { key, sample: { name, labels, value: number } };
}

function belongs(sample: string, { name, type }: ReadFamily, format: string): boolean {
  if (type === 'histogram') return /^_(bucket|sum|count)$/.test(sample.slice(name.length));
  if (type === 'counter' && format === 'openmetrics') return sample === `${name}_total`;
  return sample === name;
}

function checkFamily({ name, type, samples }: ReadFamily): void {
  if (samples.size === 0) throw new Error(`${name} has no sample`);
  for (const { value } of samples.values()) {
    if (type === 'counter' && !(value >= 0)) throw new Error(`${name} is a counter of ${value}`);
  }
  if (type !== 'histogram') return;
  const series = new Map<string, { bounds: number[]; counts: number[]; count: number }>();
  for (const { name: sample, labels, value } of samples.values()) {
    const { le, ...rest } = labels;
    const key = JSON.stringify(rest);
    const one = series.get(key) ?? { bounds: [], counts: [], count: NaN };
    series.set(key, one);
    if (sample === `${name}_count`) one.count = value;
    if (sample !== `${name}_bucket`) continue;
    one.bounds.push(le === '+Inf' ? Infinity : Number(le));
    one.counts.push(value);
  }
  for (const [key, { bounds, counts, count }] of series) {
    const isRising = (list: readonly number[], step: number): boolean =>
      list.every((n, i) => i === 0 || n - (list[i - 1] ?? n) >= step);
    const isWhole = bounds.at(-1) === Infinity && counts.at(-1) === count;
    if (!isWhole || !isRising(counts, 0) || !isRising(bounds, Number.MIN_VALUE)) {
      throw new Error(`${name}${key} is no histogram`);
    }
  }
}

/** What `promtool check metrics` complains about, as far as it can be told from the text alone. */
export function lint(families: ReadonlyMap<string, ReadFamily>): string[] {
  return [...families.values()].flatMap(({ name, type, help, samples }) => {
    const labels = [...samples.values()].flatMap((sample) => Object.keys(sample.labels));
    const problems: readonly (readonly [boolean, string])[] = [
      [help.trim() === '', 'no help text'],
      [name !== name.toLowerCase() || /[a-z][A-Z]/.test(name), 'not in snake case'],
      [type === 'counter' && !name.endsWith('_total'), 'a counter ends in _total'],
      [type !== 'counter' && name.endsWith('_total'), 'only counters end in _total'],
      [/_(bucket|count|sum)$/.test(name), 'ends like a part of a histogram'],
      [/_(counter|gauge|histogram|summary)(_|$)/.test(name), 'names its type'],
      [
        /_(milliseconds|ms|minutes|hours|kilobytes|megabytes|kb|mb|percent)(_|$)/.test(name),
        'not in base units',
      ],
      [type !== 'histogram' && labels.includes('le'), 'le outside of a histogram'],
      [labels.some((label) => label.startsWith('__')), 'a reserved label'],
    ];
    return problems.filter(([is]) => is).map(([, what]) => `${name}: ${what}`);
  });
}

/** The value of one series; 0 when it is not there. */
export function valueOf(
  families: ReadonlyMap<string, ReadFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(count|sum|bucket)$/, ''));
  let sum = 0;
  for (const sample of family?.samples.values() ?? []) {
    const isMeant = Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
    if (sample.name === name && isMeant) sum += sample.value;
  }
  return sum;
}
