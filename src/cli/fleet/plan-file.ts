import { readFile } from 'node:fs/promises';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { nearest } from '../nearest.js';

export interface Problem {
  readonly path: string;
  readonly message: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** More repetitions than a plan has; fewer than it takes to fill the memory. */
const ALIASES_MAX = 100;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a plan that was written down: JSON when it begins with a brace, YAML by its name, else TOML. */
export async function readPlanFile(path: string): Promise<Fields> {
  const text = await readFile(path, 'utf8');
  try {
    const read = parsed(path, text);
    // A date of TOML becomes its text, which is what the schema reads.
    const plan: unknown = JSON.parse(JSON.stringify(read, withUtc));
    if (isFields(plan)) return plan;
  } catch (error) {
    const [why = ''] = (error as Error).message.split('\n');
    throw invalidPlan(path, [{ path: '', message: why }]);
  }
  throw invalidPlan(path, [{ path: '', message: 'is no object' }]);
}

function parsed(path: string, text: string): unknown {
  if (/\.ya?ml$/i.test(path)) return parseYaml(text, { maxAliasCount: ALIASES_MAX });
  return text.trimStart().startsWith('{') ? JSON.parse(text) : parseToml(text);
}

/** Moments with an offset are moments in UTC; those without any stay as they are, and are refused. */
const withUtc = (_key: string, value: unknown): unknown =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d$/.test(value)
    ? new Date(value).toISOString()
    : value;

/**
 * Holds a plan against the schema of the request. Throws `rollout_plan_invalid` with every problem and
 * its path; a key that nobody knows is one too, since it would be passed over without a word.
 */
export function checkPlan<T extends z.ZodType>(file: string, plan: Fields, schema: T): z.input<T> {
  const problems = planProblems(plan, schema);
  if (problems.length > 0) throw invalidPlan(file, problems);
  return plan as z.input<T>;
}

/** What is wrong with a plan, each with its path. */
export function planProblems(plan: Fields, schema: z.ZodType): Problem[] {
  const parsed = schema.safeParse(plan);
  const wrong = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  return [...wrong, ...unknownKeys(plan, schema, '')];
}

export function invalidPlan(file: string, problems: readonly Problem[]): FleetError {
  const list = problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  return new FleetError('rollout_plan_invalid', `${file}: ${list.join('; ')}`, {
    context: { problems, fix: 'Mend the file; docs/rollouts.md has a plan for each strategy.' },
  });
}

/** Keys of a value that no part of its schema reads. */
function unknownKeys(value: unknown, schema: z.ZodType, path: string): Problem[] {
  const inner = bare(schema);
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.flatMap((item, i) => unknownKeys(item, inner.element as z.ZodType, at(path, i)));
  }
  if (!(inner instanceof z.ZodObject) || !isFields(value)) return [];
  const shape = inner.shape as Readonly<Record<string, z.ZodType>>;
  return Object.entries(value).flatMap(([key, part]) => {
    const known = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (known !== undefined) return unknownKeys(part, known, at(path, key));
    const near = nearest(key, Object.keys(shape));
    const hint = near === null ? '' : `; did you mean ${near}?`;
    return [{ path: at(path, key), message: `is not known${hint}` }];
  });
}

const at = (path: string, key: string | number): string =>
  path === '' ? String(key) : `${path}.${key}`;

/** A schema without its defaults and the like. */
function bare(schema: z.ZodType): z.ZodType {
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable
  ) {
    return bare(schema.unwrap() as z.ZodType);
  }
  if (schema instanceof z.ZodPipe) return bare(schema.out as z.ZodType);
  return schema;
}
