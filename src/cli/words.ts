import { usageError, type Command } from './command.js';
import { nearest } from './nearest.js';
import { plain } from './output/index.js';

/** Other words for a noun: its singular or plural, and what people abbreviate. */
const NOUNS: Readonly<Record<string, string>> = {
  node: 'nodes',
  no: 'nodes',
  group: 'groups',
  grp: 'groups',
  releases: 'release',
  rel: 'release',
  rollout: 'rollouts',
  ro: 'rollouts',
  ring: 'rings',
  event: 'events',
  ev: 'events',
  user: 'users',
  token: 'tokens',
  tok: 'tokens',
  'cluster-token': 'cluster-tokens',
  sink: 'sinks',
  alert: 'alerts',
  member: 'members',
  session: 'sessions',
  invitation: 'invitations',
  source: 'sources',
  plan: 'plans',
  contexts: 'context',
  ctx: 'context',
};

/** Other words for a verb; the first that the noun has counts. */
const VERBS: Readonly<Record<string, readonly string[]>> = {
  ls: ['list'],
  rm: ['delete', 'remove'],
  delete: ['remove'],
  remove: ['delete'],
};

/**
 * Habits from other programs. They are not obeyed, since nobody should depend on them, but answered with
 * the command that is meant; `*` is the verb for one thing, when a name follows.
 */
const HABITS: Readonly<Record<string, readonly string[]>> = {
  get: ['*show', 'list'],
  view: ['*show', 'list'],
  describe: ['*show', 'list'],
  info: ['*show', 'list'],
  list: ['list'],
  ls: ['list'],
  show: ['show', 'list'],
  create: ['create', 'set', 'invite'],
  add: ['create', 'set', 'invite'],
  new: ['create', 'invite'],
  make: ['create'],
  edit: ['change', 'set', 'rename'],
  update: ['change', 'set', 'rename'],
  patch: ['change'],
  delete: ['delete', 'remove', 'revoke', 'disable', 'cancel', 'yank'],
  del: ['delete', 'remove', 'revoke', 'cancel'],
  rm: ['delete', 'remove', 'revoke', 'cancel'],
  destroy: ['delete', 'remove', 'revoke'],
  watch: ['watch', 'tail', 'list'],
  logs: ['tail', 'list'],
  follow: ['watch', 'tail'],
  start: ['create', 'resume'],
  stop: ['cancel', 'pause'],
  abort: ['cancel'],
  rollback: ['revert'],
  undo: ['revert'],
};

export interface FoundCommand {
  readonly command: Command;
  /** Words of the command line that were its name. */
  readonly taken: number;
}

/** The word that the commands know a noun by. */
export const nounOf = (word: string): string =>
  Object.hasOwn(NOUNS, word) ? (NOUNS[word] ?? word) : word;

/** The command that words name, by its name or a short one; null when they name none. */
export function commandNamed(
  words: readonly string[],
  commands: readonly Command[],
): FoundCommand | null {
  const [first = '', second = ''] = words;
  const noun = nounOf(first);
  const named = (name: string): Command | undefined => commands.find((one) => one.name === name);
  const pair = named(`${noun} ${second}`);
  if (pair !== undefined) return { command: pair, taken: 2 };
  const others = Object.hasOwn(VERBS, second) ? (VERBS[second] ?? []) : [];
  for (const verb of others) {
    const command = named(`${noun} ${verb}`);
    if (command !== undefined) return { command, taken: 2 };
  }
  const single = named(first) ?? named(noun);
  return single === undefined ? null : { command: single, taken: 1 };
}

/** All commands of a noun. */
export const familyOf = (word: string, commands: readonly Command[]): readonly Command[] =>
  commands.filter(({ name }) => name.startsWith(`${nounOf(word)} `));

/** What a habit means here, with the words that follow it; null when nothing is near. */
function meantBy(words: readonly string[], commands: readonly Command[]): string | null {
  const asSaid = habitOf(words[1] ?? '', words[0] ?? '', words.slice(2), commands);
  return asSaid ?? habitOf(words[0] ?? '', words[1] ?? '', words.slice(2), commands);
}

function habitOf(
  verb: string,
  noun: string,
  rest: readonly string[],
  commands: readonly Command[],
): string | null {
  if (!Object.hasOwn(HABITS, verb)) return null;
  const hasName = rest[0] !== undefined && !rest[0].startsWith('-');
  const family = familyOf(noun, commands);
  for (const candidate of HABITS[verb] ?? []) {
    if (candidate.startsWith('*') && !hasName) continue;
    const wanted = `${nounOf(noun)} ${candidate.replace('*', '')}`;
    const found = family.find(({ name }) => name === wanted);
    if (found !== undefined) return [found.name, ...rest].join(' ');
  }
  return null;
}

const isWord = (word: string): boolean => word !== '' && !word.startsWith('-');

/** The command that words name. Throws `cli_usage`, with the nearest one. */
export function findCommand(words: readonly string[], commands: readonly Command[]): FoundCommand {
  const found = commandNamed(words, commands);
  if (found !== null) return found;
  const [first = '', second = ''] = words;
  const family = familyOf(first, commands);
  if (family.length > 0 && !isWord(second)) {
    const rest = family.map(({ name }) => name.slice(name.indexOf(' ') + 1)).join(', ');
    throw usageError(`\`${plain(first)}\` needs a second word: ${rest}`);
  }
  const said = isWord(second) ? `${nounOf(first)} ${second}` : first;
  const names = commands.map(({ name }) => name);
  const near = meantBy(words, commands) ?? nearest(said, names);
  throw usageError(
    `there is no command \`${plain(said)}\``,
    near === null ? undefined : `Did you mean \`bellwether ${plain(near)}\`?`,
  );
}
