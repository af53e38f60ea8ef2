import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../client.js';
import { parseGiven, type Command } from '../command.js';
import { connect, MANAGER_OPTIONS } from '../connection.js';
import { readConfig } from '../context/index.js';
import { plain } from '../output/index.js';
import type { Terminal } from '../terminal.js';

/** A word that could stand here, and what it is. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

/** Kinds of names that only the manager, or the configuration, knows. */
export type NameKind =
  | 'group'
  | 'node'
  | 'rollout'
  | 'product'
  | 'version'
  | 'release'
  | 'sink'
  | 'plan'
  | 'schedule'
  | 'user'
  | 'token'
  | 'alert'
  | 'source'
  | 'context';

/** Somebody waits for a key press: what takes longer is not offered. */
const NAMES_WITHIN_MS = 1_500;
const NAMES_MAX = 200;
/** What may stand in a shell as it is; anything else is not offered, so nothing has to be quoted. */
const SAFE = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/;

const query = { limit: NAMES_MAX };
const named = (id: string, name: string): Candidate => ({ word: id, about: plain(name) });

const SOURCES: Readonly<
  Record<Exclude<NameKind, 'context'>, (client: Client) => Promise<readonly Candidate[]>>
> = {
  group: async (client) =>
    (await client.call('groups.list', { query })).items.map(({ id, name }) => named(id, name)),
  node: async (client) =>
    (await client.call('nodes.list', { query })).items.map(({ id, name }) => named(id, name)),
  rollout: async (client) =>
    (await client.call('rollouts.list', { query })).items.map(({ id, product, version, status }) =>
      named(id, `${product} ${version}, ${status}`),
    ),
  product: async (client) =>
    (await client.call('releases.list', { query })).items.map(({ product }) => named(product, '')),
  version: async (client) =>
    (await client.call('releases.list', { query })).items.map((release) =>
      named(release.version, `${release.product}, ${release.channel}`),
    ),
  release: async (client) =>
    (await client.call('releases.list', { query })).items.map(({ product, version, channel }) =>
      named(`${product}@${version}`, channel),
    ),
  sink: async (client) =>
    (await client.call('sinks.list', { query })).items.map(({ id, name }) => named(id, name)),
  plan: async (client) =>
    (await client.call('plans.list', { query })).items.map(({ id, name }) => named(name, id)),
  schedule: async (client) =>
    (await client.call('schedules.list', { query })).items.map(({ id, name }) => named(id, name)),
  user: async (client) =>
    (await client.call('users.list', { query })).items.map(({ id, login }) => named(id, login)),
  token: async (client) =>
    (await client.call('tokens.list', { query })).items.map(({ id, name }) => named(id, name)),
  alert: async (client) =>
    (await client.call('alerts.list', { query })).items.map(({ id, rule }) => named(id, rule)),
  source: async (client) =>
    (await client.call('sources.list')).items.map(({ name, kind }) => named(name, kind)),
};

/** The options that say which manager is meant, out of what stands on the line so far. */
function placeWords(words: readonly string[]): string[] {
  return words.flatMap((word, at) => {
    const [name = ''] = word.replace(/^--/, '').split('=');
    if (!word.startsWith('--') || !Object.hasOwn(MANAGER_OPTIONS, name)) return [];
    if (word.includes('=')) return [word];
    const value = words[at + 1];
    return value === undefined ? [] : [`${word}=${value}`];
  });
}

const NOWHERE: Command = {
  name: 'completion',
  summary: '',
  operands: [],
  options: MANAGER_OPTIONS,
  run: async () => undefined,
};

async function asked(
  kind: NameKind,
  words: readonly string[],
  terminal: Terminal,
): Promise<readonly Candidate[]> {
  if (kind === 'context') {
    const { contexts } = await readConfig(terminal);
    return Object.entries(contexts).map(([name, { manager }]) => named(name, manager));
  }
  const client = await connect(parseGiven(NOWHERE, placeWords(words)), terminal);
  return SOURCES[kind](client);
}

/** Names of a kind. Never fails and never takes long: who cannot be asked has none. */
export async function namesOf(
  kind: NameKind,
  words: readonly string[],
  terminal: Terminal,
): Promise<readonly Candidate[]> {
  const silent: Terminal = { ...terminal, err: () => undefined };
  const none = sleep(NAMES_WITHIN_MS, [], { ref: false });
  try {
    const found = await Promise.race([asked(kind, words, silent), none]);
    return found.filter(({ word }) => SAFE.test(word));
  } catch {
    return [];
  }
}
