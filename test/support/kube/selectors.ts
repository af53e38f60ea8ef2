import { StatusError, type KubeObject } from './objects.js';

/** `a=b,c!=d,e in (f,g),h` */
export function labelFilter(text: string): (object: KubeObject) => boolean {
  const tests = text.match(/[^,(]+(\([^)]*\))?/g)?.map(readRequirement) ?? [];
  return ({ metadata: { labels = {} } }) => tests.every((test) => test(labels));
}

function readRequirement(text: string): (labels: Record<string, string>) => boolean {
  const [, key = '', isNot, set] = /^\s*([\w./-]+)\s+(not)?in\s+\(([^)]*)\)\s*$/.exec(text) ?? [];
  if (set !== undefined) {
    const values = set.split(',').map((one) => one.trim());
    return (labels) => values.includes(labels[key] ?? '') === (isNot === undefined);
  }
  const [, name = '', operator, value = ''] =
    /^\s*!?([\w./-]+)\s*(!=|==?)?\s*([\w./-]*)\s*$/.exec(text) ?? [];
  if (name === '') throw new StatusError(400, 'BadRequest', `unable to parse requirement: ${text}`);
  if (operator === undefined) return (labels) => name in labels;
  return (labels) => (labels[name] === value) === (operator !== '!=');
}

/** By name and namespace, which every resource knows. */
export function fieldFilter(text: string): (object: KubeObject) => boolean {
  const pairs = text.split(',').map((one) => one.split('=') as [string, string]);
  return ({ metadata }) =>
    pairs.every(([field, value]) => {
      if (field === 'metadata.name') return metadata.name === value;
      if (field === 'metadata.namespace') return metadata.namespace === value;
      throw new StatusError(400, 'BadRequest', `field label not supported: ${field}`);
    });
}
