import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { ProductName } from '../../../core/release/index.js';
import { SourceName } from '../../../protocol/api/index.js';
import { invalidConfig } from '../../platform/index.js';

const isPlainUrl = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, search, hash, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && `${search}${hash}${username}${password}` === '';
};
const Address = z
  .string()
  .max(2_048)
  .refine(isPlainUrl, 'give http:// or https://, a host and a path; no login, no query')
  .transform((text) => text.replace(/\/+$/, ''));
const Host = z.string().regex(/^[a-z0-9.-]{1,253}(:\d{1,5})?$/, 'give a host such as cdn.example');
const Path = z.string().regex(/^\/[^\0]{0,4000}$/, 'give an absolute path');

const common = {
  name: SourceName,
  /** How often it is looked at. */
  every_minutes: z.int().min(1).max(43_200).default(60),
  /** Releases of other products are left alone; all are taken when it is left out. */
  products: z.array(ProductName).min(1).max(256).optional(),
};
const overHttp = {
  ...common,
  /** Hosts that it may redirect to, besides its own. */
  allowed_hosts: z.array(Host).max(32).default([]),
  /** A file with a bearer token, which goes to the own host of the source only. */
  token_file: Path.optional(),
};

const Source = z.discriminatedUnion('kind', [
  z.strictObject({
    ...overHttp,
    kind: z.literal('github'),
    api: Address.default('https://api.github.com'),
    repository: z.string().regex(/^[\w.-]{1,100}\/[\w.-]{1,100}$/, 'give owner/name'),
  }),
  z.strictObject({ ...overHttp, kind: z.literal('mirror'), url: Address }),
  z.strictObject({ ...common, kind: z.literal('directory'), path: Path }),
]);
export type Source = z.infer<typeof Source>;
export type HttpSource = Extract<Source, { kind: 'github' | 'mirror' }>;

const SourceFile = z
  .strictObject({ sources: z.array(Source).max(64).default([]) })
  .refine(({ sources }) => new Set(sources.map(({ name }) => name)).size === sources.length, {
    path: ['sources'],
    message: 'a name stands there twice',
  });

/** Reads where releases are pulled from. Throws `config_invalid` with a line for each problem. */
export function readSourceFile(path: string | null): readonly Source[] {
  if (path === null) return [];
  const told = (problem: string): string => `BELLWETHER_SOURCES_FILE: ${path}: ${problem}`;
  let toml: unknown;
  try {
    toml = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const [first = ''] = (error as Error).message.split('\n');
    throw invalidConfig([told(first)], error);
  }
  const parsed = SourceFile.safeParse(toml);
  if (parsed.success) return parsed.data.sources;
  throw invalidConfig(
    parsed.error.issues.map(({ path: at, message }) => told(`${at.join('.')}: ${message}`)),
  );
}

/** Where it is, in one text for people. */
export const locationOf = (source: Source): string => {
  if (source.kind === 'directory') return source.path;
  return source.kind === 'mirror' ? source.url : `${source.api}/repos/${source.repository}`;
};
