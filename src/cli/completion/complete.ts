import { HELP, type Command, type OptionSpec } from '../command.js';
import type { Terminal } from '../terminal.js';
import { commandNamed, familyOf } from '../words.js';
import { namesOf, type Candidate, type NameKind } from './names.js';

/** What the shell is told to do instead: complete the name of a file. */
const FILES = ':files\n';

/** Options by what their value names, whichever command they are of. */
const OPTION_KINDS: Readonly<Record<string, NameKind>> = {
  group: 'group',
  parent: 'group',
  node: 'node',
  exclude: 'node',
  rollout: 'rollout',
  product: 'product',
  version: 'version',
  'expected-version': 'version',
  context: 'context',
  'stored-plan': 'plan',
};
/** What words of these names are, as operands and as values of options. */
const OPERAND_KINDS: Readonly<Record<string, NameKind>> = {
  GROUP: 'group',
  NODE: 'node',
  ROLLOUT: 'rollout',
  SINK: 'sink',
  PLAN: 'plan',
  SCHEDULE: 'schedule',
  USER: 'user',
  ALERT: 'alert',
  REF: 'release',
};
/** What `ID` or `NAME` is, by the noun in front of it. */
const NOUN_KINDS: Readonly<Record<string, NameKind>> = {
  nodes: 'node',
  groups: 'group',
  rollouts: 'rollout',
  users: 'user',
  tokens: 'token',
  sources: 'source',
  context: 'context',
};
const FILE_VALUES = /^(FILE|EXPORT|FOLDER|DIR|PATH|OLD|NEW)\b/;
const SHELLS = ['bash', 'zsh', 'fish'];

type Wanted = readonly Candidate[] | NameKind | 'files';

function wantedByOption(command: Command, name: string, spec: OptionSpec): Wanted {
  if (spec.words !== undefined) return spec.words.map((word) => ({ word, about: '' }));
  if (name === 'to' && command.name === 'nodes transfer') return 'group';
  const kind = Object.hasOwn(OPTION_KINDS, name) ? OPTION_KINDS[name] : undefined;
  if (kind !== undefined) return kind;
  const value = spec.value ?? '';
  if (Object.hasOwn(OPERAND_KINDS, value)) return OPERAND_KINDS[value] ?? [];
  return FILE_VALUES.test(value) ? 'files' : [];
}

function wantedByOperand(command: Command, index: number): Wanted {
  const operand = (command.operands[index] ?? '').replace(/[[\]]/g, '');
  if (operand === 'SHELL') return SHELLS.map((word) => ({ word, about: '' }));
  if (FILE_VALUES.test(operand)) return 'files';
  const [noun = ''] = command.name.split(' ');
  const isOfNoun = operand === 'ID' || operand === 'NAME';
  // A name that something is given now is nobody's yet.
  const isNew = /create|rename|invite/.test(command.name) && index === command.operands.length - 1;
  if (isOfNoun && !isNew && Object.hasOwn(NOUN_KINDS, noun)) return NOUN_KINDS[noun] ?? [];
  return Object.hasOwn(OPERAND_KINDS, operand) ? (OPERAND_KINDS[operand] ?? []) : [];
}

/** bash takes a line apart at these too: what belongs together is put together again. */
function joined(words: readonly string[]): string[] {
  const whole: string[] = [];
  let isOpen = false;
  for (const word of words) {
    const isGlue = /^[=@:]$/.test(word);
    if (whole.length > 0 && (isGlue || isOpen)) whole.push(`${whole.pop() ?? ''}${word}`);
    else whole.push(word);
    isOpen = isGlue;
  }
  return whole;
}

interface Line {
  readonly command: Command;
  /** Words between the name of the command and the one that is typed. */
  readonly args: readonly string[];
  readonly current: string;
}

const optionsOf = (command: Command): Readonly<Record<string, OptionSpec>> => ({
  ...command.options,
  ...HELP,
});

/** The option whose value is typed now, and what stands before the value; null when none is. */
function openOption({ command, args, current }: Line) {
  const options = optionsOf(command);
  const inline = /^--([a-z-]+)=/.exec(current);
  const last = args.at(-1) ?? '';
  const short = Object.entries(options).find(
    ([, { short: letter }]) => last === `-${letter ?? ''}`,
  );
  const name = inline?.[1] ?? (last.startsWith('--') ? last.slice(2) : short?.[0]);
  const spec = name === undefined || !Object.hasOwn(options, name) ? undefined : options[name];
  if (name === undefined || spec?.value === undefined) return null;
  return { name, spec, prefix: inline?.[0] ?? '' };
}

function optionCandidates({ command, args }: Line): Candidate[] {
  const used = new Set(args.map((word) => word.split('=')[0]));
  return Object.entries(optionsOf(command))
    .filter(([name, { isMultiple }]) => isMultiple === true || !used.has(`--${name}`))
    .map(([name, { help }]) => ({ word: `--${name}`, about: help }));
}

/** How many words of these are operands. */
function operandsIn({ command, args }: Line): number {
  const options = optionsOf(command);
  const takesNext = (word: string): boolean => {
    const name = word.replace(/^-+/, '');
    const spec = word.startsWith('--')
      ? options[name]
      : Object.values(options).find(({ short }) => short === name);
    return word.startsWith('-') && spec?.value !== undefined;
  };
  return args.filter((word, at) => !word.startsWith('-') && !takesNext(args[at - 1] ?? '')).length;
}

function firstWords(commands: readonly Command[]): Candidate[] {
  const firsts = new Map<string, string>([['help', 'explain a command']]);
  for (const { name, summary } of commands) {
    const [noun = '', verb] = name.split(' ');
    const verbs = familyOf(noun, commands).map((one) => one.name.slice(noun.length + 1));
    firsts.set(noun, verb === undefined ? summary : verbs.join(', '));
  }
  return [...firsts].map(([word, about]) => ({ word, about }));
}

const secondWords = (noun: string, commands: readonly Command[]): Candidate[] =>
  familyOf(noun, commands).map(({ name, summary }) => ({
    word: name.slice(name.indexOf(' ') + 1),
    about: summary,
  }));

/** What could stand where the last of these words stands. */
async function candidatesFor(
  words: readonly string[],
  commands: readonly Command[],
  terminal: Terminal,
): Promise<readonly Candidate[] | 'files'> {
  const before = words[0] === 'help' ? words.slice(1, -1) : words.slice(0, -1);
  if (before.length === 0) return firstWords(commands);
  const found = commandNamed(before, commands);
  if (found === null) return before.length === 1 ? secondWords(before[0] ?? '', commands) : [];
  if (words[0] === 'help') return [];
  const line = {
    command: found.command,
    args: before.slice(found.taken),
    current: words.at(-1) ?? '',
  };
  const open = openOption(line);
  if (open === null && line.current.startsWith('-')) return optionCandidates(line);
  const wanted =
    open === null
      ? wantedByOperand(line.command, operandsIn(line))
      : wantedByOption(line.command, open.name, open.spec);
  if (wanted === 'files') return 'files';
  const list = typeof wanted === 'string' ? await namesOf(wanted, before, terminal) : wanted;
  return list.map(({ word, about }) => ({ word: `${open?.prefix ?? ''}${word}`, about }));
}

/**
 * What a shell asks at a press of the tab key: its name, then the words up to the cursor. Answers a
 * line for each candidate, `word<TAB>what it is`; bash gets the part behind its last word break.
 */
export async function completions(
  asked: readonly string[],
  commands: readonly Command[],
  terminal: Terminal,
): Promise<string> {
  const [shell = '', ...rest] = asked;
  const words = joined(rest.length === 0 ? [''] : rest);
  const found = await candidatesFor(words, commands, terminal);
  if (found === 'files') return FILES;
  const current = words.at(-1) ?? '';
  const kept = shell === 'bash' ? (/^.*[=@:]/.exec(current)?.[0].length ?? 0) : 0;
  const fitting = found.filter(({ word }) => word.startsWith(current));
  const unique = new Map(fitting.map(({ word, about }) => [word.slice(kept), about]));
  return [...unique].map(([word, about]) => `${word}\t${about.replace(/\s+/g, ' ')}\n`).join('');
}
