import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import { FleetError } from '../../core/kernel/index.js';
import { CreateRollout } from '../../protocol/api/index.js';
import { usageError } from '../command.js';
import { planProblems, type Problem } from '../fleet/index.js';
import { nearest } from '../nearest.js';
import type { Terminal } from '../terminal.js';
import {
  GroupDoc,
  KINDS,
  PlanDoc,
  RolloutDoc,
  ScheduleDoc,
  SinkDoc,
  type Doc,
  type Kind,
} from './kinds.js';

/** A tree of a thousand groups is a tenth of it. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const DOCUMENTS_MAX = 10_000;
/** Names for parts that are used again are fine; parts made of parts made of parts are an attack. */
const ALIASES_MAX = 100;

const SCHEMAS = {
  Group: GroupDoc,
  Plan: PlanDoc,
  Schedule: ScheduleDoc,
  Sink: SinkDoc,
  Rollout: RolloutDoc,
} as const;

/** One document, and where it stands, for what is wrong with it. */
export interface Placed {
  readonly doc: Doc;
  readonly place: string;
}

export function invalid(problems: readonly Problem[]): FleetError {
  const list = problems.map(({ path, message }) => `${path}: ${message}`);
  return new FleetError('apply_file_invalid', list.join('; '), { context: { problems } });
}

async function textOf(path: string, terminal: Terminal): Promise<string> {
  if (path === '-' && terminal.input === undefined) {
    throw usageError('nothing came from standard input', 'Pipe it in, or give -f FILE.');
  }
  const text = path === '-' ? ((await terminal.input?.()) ?? '') : await readFile(path, 'utf8');
  if (text.length <= FILE_BYTES_MAX) return text;
  throw invalid([{ path, message: 'is larger than 4 MiB' }]);
}

interface Raw {
  readonly place: string;
  readonly value: unknown;
}

/** The documents of one text; JSON is YAML too. */
function rawDocuments(name: string, text: string): { raws: Raw[]; problems: Problem[] } {
  const parsed = parseAllDocuments(text, { uniqueKeys: true, strict: true });
  const documents = Array.isArray(parsed) ? parsed : [];
  if (documents.length > DOCUMENTS_MAX) {
    return { raws: [], problems: [{ path: name, message: 'holds too many documents' }] };
  }
  const raws: Raw[] = [];
  const problems: Problem[] = [];
  for (const [index, document] of documents.entries()) {
    const place = `${name}#${index + 1}`;
    const [error] = [...document.errors, ...document.warnings];
    if (error !== undefined) {
      problems.push({ path: place, message: error.message.split('\n')[0] ?? 'not YAML' });
      continue;
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
      if (value !== null) raws.push({ place, value });
    } catch (thrown) {
      problems.push({ path: place, message: (thrown as Error).message });
    }
  }
  return { raws, problems };
}

/** The kind that a document says it is of, else what is wrong with that. */
function kindOf(value: unknown): string {
  const kind = (value as { kind?: unknown } | null)?.kind;
  const known = KINDS.find((one) => one === kind);
  if (known !== undefined) return known;
  if (typeof kind !== 'string') return `needs a kind: ${KINDS.join(', ')}`;
  const near = nearest(
    kind,
    [...KINDS].map((one) => one.toLowerCase()),
  );
  const meant = KINDS.find((one) => one.toLowerCase() === near);
  return `kind ${kind} is not known${meant === undefined ? `: take ${KINDS.join(', ')}` : `; did you mean ${meant}?`}`;
}

const isKind = (text: string): text is Kind => KINDS.some((one) => one === text);

interface Unrecognized {
  readonly keys: readonly string[];
  readonly path: readonly PropertyKey[];
}

/** Keys that nobody reads; with the nearest that somebody does, at the top of a document. */
const unknownText = ({ keys, path }: Unrecognized, known: readonly string[]): string =>
  keys
    .map((key) => {
      const near = path.length === 0 ? nearest(key, known) : null;
      return `${key} is not known${near === null ? '' : `; did you mean ${near}?`}`;
    })
    .join(', ');

function checked({ place, value }: Raw): Placed | readonly Problem[] {
  const kind = kindOf(value);
  if (!isKind(kind)) return [{ path: place, message: kind }];
  const parsed = SCHEMAS[kind].safeParse(value);
  if (!parsed.success) {
    const keys = Object.keys(SCHEMAS[kind].shape);
    return parsed.error.issues.map((issue) => ({
      path: [place, ...issue.path].join('.'),
      message: issue.code === 'unrecognized_keys' ? unknownText(issue, keys) : issue.message,
    }));
  }
  const { data: doc } = parsed;
  const problems =
    doc.kind === 'Rollout' ? planProblems(rolloutBody(doc, 'grp_unknown'), CreateRollout) : [];
  if (problems.length === 0) return { doc, place };
  return problems.map(({ path, message }) => ({ path: `${place}.${path}`, message }));
}

/** The request that a declared rollout stands for, with the id of its group in place of the path. */
export function rolloutBody(doc: RolloutDoc, groupId: string): Readonly<Record<string, unknown>> {
  const { kind: _kind, scope, ...rest } = doc;
  const { group, ...others } = scope ?? {};
  const wanted = group === undefined ? {} : { group_id: groupId };
  return { ...rest, scope: { ...others, ...wanted } };
}

/** What makes a document the same thing as another: declared twice, nobody knows which counts. */
function identityOf(doc: Doc): string {
  if (doc.kind === 'Group') return `Group ${doc.parent ?? ''}/${doc.name}`;
  if (doc.kind === 'Sink') return `Sink ${doc.name}`;
  if (doc.kind === 'Plan' || doc.kind === 'Schedule') {
    return `${doc.kind} ${doc.group ?? ''}/${doc.name}`;
  }
  return `Rollout ${doc.product} ${doc.version} ${doc.channel} ${doc.scope?.group ?? ''}`;
}

function doubles(placed: readonly Placed[]): Problem[] {
  const seen = new Map<string, string>();
  return placed.flatMap(({ doc, place }) => {
    const identity = identityOf(doc);
    const before = seen.get(identity);
    seen.set(identity, before ?? place);
    return before === undefined ? [] : [{ path: place, message: `is declared in ${before} too` }];
  });
}

/**
 * Reads every document of the files. Throws `apply_file_invalid` with everything that is wrong in all of
 * them: unknown keys, wrong values, the same thing twice.
 */
export async function readDocuments(
  paths: readonly string[],
  terminal: Terminal,
): Promise<readonly Placed[]> {
  const problems: Problem[] = [];
  const placed: Placed[] = [];
  for (const path of paths) {
    const read = rawDocuments(path, await textOf(path, terminal));
    problems.push(...read.problems);
    for (const raw of read.raws) {
      const result = checked(raw);
      if ('doc' in result) placed.push(result);
      else problems.push(...result);
    }
  }
  problems.push(...doubles(placed));
  if (problems.length > 0) throw invalid(problems);
  if (placed.length === 0) throw invalid([{ path: paths.join(', '), message: 'declares nothing' }]);
  return placed;
}
