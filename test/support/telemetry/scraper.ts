import { readExposition, valueOf, type ReadFamily } from './prometheus-text.js';

const OPENMETRICS =
  'application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5';

/** A look at the metrics of a manager, read strictly. */
export interface Look {
  readonly families: ReadonlyMap<string, ReadFamily>;
  readonly text: string;
  of(name: string, labels?: Readonly<Record<string, string>>): number;
}

/** Scrapes as Prometheus does. Throws when the answer is no exposition. */
export async function look(
  url: string,
  token: string | null,
  format: 'prometheus' | 'openmetrics' = 'prometheus',
): Promise<Look> {
  const response = await fetch(`${url}/metrics`, {
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      accept: format === 'openmetrics' ? OPENMETRICS : 'text/plain',
    },
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  const type = response.headers.get('content-type');
  const wanted =
    format === 'openmetrics'
      ? 'application/openmetrics-text; version=1.0.0; charset=utf-8'
      : 'text/plain; version=0.0.4; charset=utf-8';
  if (type !== wanted) throw new Error(`${format} came as ${type}`);
  const families = readExposition(text, format);
  return { families, text, of: (name, labels) => valueOf(families, name, labels) };
}

/** By how much a number grew between two looks. */
export const grown = (
  [before, after]: readonly [Look, Look],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number => after.of(name, labels) - before.of(name, labels);
