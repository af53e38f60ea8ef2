import { readFile } from 'node:fs/promises';
import { FleetError } from '../../core/kernel/index.js';
import { SINK_CONFIGS, type Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import type { Terminal } from '../terminal.js';
import { invalid } from './documents.js';
import { everyItem, type GroupTree } from './group-tree.js';
import { SinkFilterFields, type SecretSource, type SinkDoc } from './kinds.js';
import { differencesOf, type Step } from './steps.js';

type Sink = Answer<'sinks.show'>;
type Config = Readonly<Record<string, unknown>>;

export interface SinkShop {
  readonly tree: GroupTree;
  readonly client: Client;
  readonly terminal: Terminal;
  readonly sinks: readonly Sink[];
  /** Send credentials although some of that name are there: they cannot be compared. */
  readonly renewsCredentials: boolean;
}

export const readSinks = (client: Client): Promise<Sink[]> =>
  everyItem((query) => client.call('sinks.list', { query }));

async function secretOf(name: string, source: SecretSource, terminal: Terminal): Promise<string> {
  const isFile = 'file' in source;
  const text = isFile ? await readFile(source.file, 'utf8') : terminal.env[source.env];
  if (text === undefined || text.trim() === '') {
    const from = isFile ? source.file : `variable ${source.env}`;
    throw new FleetError('apply_file_invalid', `credential ${name}: ${from} holds nothing`);
  }
  // A certificate keeps its lines; of a password the last line end is not meant.
  return name.endsWith('_pem') ? text : text.trim();
}

async function secretsOf(doc: SinkDoc, terminal: Terminal): Promise<Record<string, string>> {
  const secrets: Record<string, string> = {};
  for (const [name, source] of Object.entries(doc.credentials)) {
    secrets[name] = await secretOf(name, source, terminal);
  }
  return secrets;
}

/** Settings with every default written out, so that leaving one out says the same as saying it. */
function whole(doc: SinkDoc, config: Config, place: string): Config {
  const parsed = SINK_CONFIGS[doc.type].safeParse(config);
  if (parsed.success) return parsed.data;
  throw invalid(
    parsed.error.issues.map(({ path, message }) => ({
      path: [place, 'config', ...path].join('.'),
      message,
    })),
  );
}

function filterOf(doc: SinkDoc, place: string, tree: GroupTree) {
  const { groups } = doc.filter;
  const ids = Array.isArray(groups) ? groups.map((path) => tree.idOf(String(path))) : groups;
  const parsed = SinkFilterFields.safeParse({ ...doc.filter, groups: ids });
  if (parsed.success) return parsed.data;
  throw invalid(
    parsed.error.issues.map(({ path, message }) => ({
      path: [place, 'filter', ...path].join('.'),
      message,
    })),
  );
}

const prefixed = (name: string, fields: Config): Config =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [`${name}.${key}`, value]));

/** What is to be done about a sink. Throws `conflict` for what cannot be changed of one. */
export async function sinkStep(doc: SinkDoc, place: string, shop: SinkShop): Promise<Step> {
  const { tree, client, terminal, sinks, renewsCredentials } = shop;
  const groupId = doc.group === undefined ? null : tree.idOf(doc.group);
  const config = whole(doc, doc.config, place);
  const filter = filterOf(doc, place, tree);
  const found = sinks.find(({ name }) => name === doc.name);
  const names = Object.keys(doc.credentials).sort().join(', ');
  const after = {
    ...prefixed('config', config),
    ...prefixed('filter', filter),
    credentials: names,
  };
  if (found === undefined) {
    return {
      kind: 'Sink',
      name: doc.name,
      action: 'create',
      differences: differencesOf({}, after),
      note: null,
      run: async () => {
        const body = {
          name: doc.name,
          kind: doc.type,
          group_id: doc.group === undefined ? null : tree.idOf(doc.group),
          config: { ...doc.config },
          credentials: await secretsOf(doc, terminal),
          filter: filterOf(doc, place, tree),
          from: doc.from,
        };
        await client.call('sinks.create', { body });
      },
    };
  }
  checkSame(doc, groupId, found);
  const renewal = renewsCredentials && names !== '' ? 'renewed' : '';
  const before = {
    ...prefixed('config', whole(doc, found.config, place)),
    ...prefixed('filter', found.filter),
    credentials: [...found.credentials].sort().join(', '),
  };
  const differences = differencesOf(
    before,
    renewal === '' ? after : { ...after, credentials: `${names} (${renewal})` },
  );
  const isChanged = (part: string): boolean =>
    differences.some(({ field }) => field.startsWith(part));
  return {
    kind: 'Sink',
    name: doc.name,
    action: differences.length === 0 ? 'unchanged' : 'change',
    differences,
    note: null,
    run: async () => {
      const body = {
        ...(isChanged('config.') ? { config: overlay(found.config, config) } : {}),
        ...(isChanged('filter.') ? { filter: filterOf(doc, place, tree) } : {}),
        ...(isChanged('credentials') ? { credentials: await secretsOf(doc, terminal) } : {}),
      };
      await client.call('sinks.change', { params: { id: found.id }, body });
    },
  };
}

/** Laid over what is there: what is declared no more has to be taken away by name. */
const overlay = (before: Config, after: Config): Record<string, unknown> => ({
  ...Object.fromEntries(Object.keys(before).map((key) => [key, null])),
  ...after,
});

function checkSame(doc: SinkDoc, groupId: string | null, found: Sink): void {
  const what =
    found.kind !== doc.type ? `type ${found.kind}` : `group ${found.group_id ?? '(all groups)'}`;
  if (found.kind === doc.type && found.group_id === groupId) return;
  throw new FleetError('conflict', `sink ${doc.name} has ${what}, which stays as it is`, {
    context: { fix: 'Take another name, or delete that sink first.' },
  });
}

/** Sinks that nobody declared. */
export const sinksToPrune = (docs: readonly SinkDoc[], { sinks, client }: SinkShop): Step[] =>
  sinks
    .filter(({ name }) => !docs.some((doc) => doc.name === name))
    .map(({ id, name }) => ({
      kind: 'Sink',
      name,
      action: 'delete',
      differences: [],
      note: null,
      run: () => client.call('sinks.remove', { params: { id } }),
    }));
