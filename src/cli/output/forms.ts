import { Document, isScalar, Scalar, visit } from 'yaml';
import { plain, escaped, steers } from './text.js';

/** How a result is written. */
export const FORMS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Form = (typeof FORMS)[number];

/** Valid JSON in which nothing steers a terminal. */
export const jsonText = (value: unknown, indent = 2): string =>
  escaped(JSON.stringify(value, null, indent));

/** One document of YAML 1.2. What would steer a terminal is quoted and written as an escape. */
export function yamlText(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar: (_key, node) => {
      if (isScalar(node) && typeof node.value === 'string' && steers(node.value)) {
        node.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  return escaped(document.toString({ lineWidth: 0 }));
}

type Fields = Readonly<Record<string, unknown>>;
/** What a thing is called by, best first. */
const NAMES = ['id', 'node_id', 'ring', 'name', 'version', 'at'] as const;

function nameOf(item: unknown): string | null {
  const fields = (typeof item === 'object' && item !== null ? item : {}) as Fields;
  const key = NAMES.find((one) => ['string', 'number'].includes(typeof fields[one]));
  return key === undefined ? null : plain(String(fields[key]));
}

/**
 * One name a line, as other commands take it. What has none is left out: by then the command has done
 * what it was told, and an error would say otherwise.
 */
export function namesText(result: unknown): string {
  const { items } = (result ?? {}) as { items?: unknown };
  const list = Array.isArray(items) ? (items as unknown[]) : [result];
  return list
    .map(nameOf)
    .filter((name) => name !== null)
    .map((name) => `${name}\n`)
    .join('');
}

/** The forms for programs; null for those that people read. */
export function textForPrograms(form: Form, result: unknown): string | null {
  if (form === 'json') return `${jsonText(result)}\n`;
  if (form === 'yaml') return yamlText(result);
  return form === 'name' ? namesText(result) : null;
}
