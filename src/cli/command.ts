import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { nearest } from './nearest.js';
import type { Terminal } from './terminal.js';

/** One `--option` of a command. */
export interface OptionSpec {
  /** What stands for the value in the help text; an option without it is a switch. */
  readonly value?: string;
  readonly help: string;
  readonly short?: string;
  readonly isRequired?: boolean;
  readonly isMultiple?: boolean;
  /** The only values that it takes; checked before anything is done, and offered by completion. */
  readonly words?: readonly string[];
}

/** One command of the program: what it is called, what it takes, what it does. */
export interface Command {
  /** One or two words, such as `release pack`. */
  readonly name: string;
  readonly summary: string;
  /** Names of what stands behind the command without dashes; needed, unless in brackets. */
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Lines below the options in the help text. */
  readonly notes?: readonly string[];
  /** The exit code, where it is not 0 although all went well. Throws FleetError. */
  run(given: Given, terminal: Terminal): Promise<number | undefined>;
}

export const HELP: Readonly<Record<string, OptionSpec>> = {
  help: { short: 'h', help: 'show this text' },
};

/** A command line that is not understood. Exit code 2. */
export const usageError = (message: string, fix?: string): FleetError =>
  new FleetError('cli_usage', message, { context: fix === undefined ? {} : { fix } });

/** What was given on the command line, each value read in the way that the command needs it. */
export interface Given {
  readonly name: string;
  operand(index: number): string;
  /** Throws `cli_usage` when it is missing. */
  text(option: string): string;
  optional(option: string): string | undefined;
  list(option: string): readonly string[];
  isSet(option: string): boolean;
  /** Reads through a schema; throws `cli_usage` with its message. Undefined when left out. */
  read<T extends z.ZodType>(option: string, schema: T): z.output<T> | undefined;
  /** The same for an option that must be there. */
  need<T extends z.ZodType>(option: string, schema: T): z.output<T>;
}

/** Reads the words behind the name of a command. Throws `cli_usage`, with the nearest right word. */
export function parseGiven(command: Command, words: readonly string[]): Given {
  const options: Readonly<Record<string, OptionSpec>> = { ...command.options, ...HELP };
  const values = new Map<string, (string | true)[]>();
  const operands: string[] = [];
  for (const token of tokensOf(options, words)) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = options[token.name];
    if (spec === undefined) throw unknownOption(command, options, token.rawName);
    const wrong = wrongValue(spec, token);
    if (wrong !== null) throw usageError(`--${token.name}${wrong}`, fixOf(command));
    const earlier = values.get(token.name) ?? [];
    if (earlier.length > 0 && spec.isMultiple !== true) {
      throw usageError(`--${token.name} was given twice`, fixOf(command));
    }
    values.set(token.name, [...earlier, token.value ?? true]);
  }
  if (!values.has('help')) checkComplete(command, operands, values);
  return givenOf(command, operands, values);
}

interface OptionToken {
  readonly inlineValue: boolean | undefined;
  readonly value: string | undefined;
}

/** What is wrong with the value of an option, to stand behind its name; null when nothing is. */
function wrongValue(
  spec: OptionSpec,
  token: OptionToken & { readonly name: string },
): string | null {
  if (spec.value === undefined) return token.value === undefined ? null : ' takes no value';
  if (token.value === undefined || looksForgotten(token)) {
    return ` needs a value: --${token.name} ${spec.value}`;
  }
  if (spec.words === undefined || spec.words.includes(token.value)) return null;
  return ` ${token.value}: take one of ${spec.words.join(', ')}`;
}

/** `--out --name x` means a forgotten value; `--out=--name` says that it is meant. */
const looksForgotten = ({ inlineValue, value }: OptionToken): boolean =>
  inlineValue === false && value?.startsWith('--') === true;

function tokensOf(options: Readonly<Record<string, OptionSpec>>, words: readonly string[]) {
  return parseArgs({
    args: [...words],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(options).map(([name, { value, short }]) => [
        name,
        {
          type: value === undefined ? ('boolean' as const) : ('string' as const),
          ...(short === undefined ? {} : { short }),
        },
      ]),
    ),
  }).tokens;
}

const fixOf = ({ name }: Command): string => `See \`bellwether ${name} --help\`.`;

function unknownOption(
  command: Command,
  options: Readonly<Record<string, OptionSpec>>,
  rawName: string,
): FleetError {
  const near = nearest(rawName.replace(/^-+/, ''), Object.keys(options));
  return usageError(
    `\`${command.name}\` has no option ${rawName}`,
    near === null ? fixOf(command) : `Did you mean --${near}?`,
  );
}

function checkComplete(
  command: Command,
  operands: readonly string[],
  values: ReadonlyMap<string, unknown>,
): void {
  const missing = [
    ...command.operands.slice(operands.length).filter((name) => !name.startsWith('[')),
    ...Object.entries(command.options)
      .filter(([name, spec]) => spec.isRequired === true && !values.has(name))
      .map(([name, spec]) => `--${name} ${spec.value ?? ''}`.trimEnd()),
  ];
  if (missing.length > 0) {
    throw usageError(`\`${command.name}\` needs ${missing.join(', ')}`, fixOf(command));
  }
  const extra = operands[command.operands.length];
  if (extra !== undefined) {
    throw usageError(`\`${command.name}\` does not take \`${extra}\``, fixOf(command));
  }
}

function givenOf(
  command: Command,
  operands: readonly string[],
  values: ReadonlyMap<string, readonly (string | true)[]>,
): Given {
  const list = (option: string): string[] =>
    (values.get(option) ?? []).filter((value) => value !== true);
  const optional = (option: string): string | undefined => list(option)[0];
  const text = (option: string): string => {
    const value = optional(option);
    if (value === undefined)
      throw usageError(`\`${command.name}\` needs --${option}`, fixOf(command));
    return value;
  };
  const parsed = <T extends z.ZodType>(option: string, value: string, schema: T): z.output<T> => {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const problems = result.error.issues.map(({ message }) => message).join('; ');
    throw usageError(`--${option} ${value}: ${problems}`, fixOf(command));
  };
  return {
    name: command.name,
    operand: (index) => operands[index] ?? '',
    text,
    optional,
    list,
    isSet: (option) => values.has(option),
    read: (option, schema) => {
      const value = optional(option);
      return value === undefined ? undefined : parsed(option, value, schema);
    },
    need: (option, schema) => parsed(option, text(option), schema),
  };
}

/** The help text of one command. */
export function helpOf(command: Command): string {
  const options = Object.entries({ ...command.options, ...HELP }).map(([name, spec]) => {
    const short = spec.short === undefined ? '' : `-${spec.short}, `;
    const value = spec.value === undefined ? '' : ` ${spec.value}`;
    const more = [
      spec.isRequired === true ? 'needed' : '',
      spec.isMultiple === true ? 'may be repeated' : '',
    ].filter((word) => word !== '');
    const tail = more.length === 0 ? '' : ` (${more.join(', ')})`;
    return [`  ${short}--${name}${value}`, `${spec.help}${tail}`] as const;
  });
  const widest = Math.max(...options.map(([left]) => left.length));
  const lines = [
    `bellwether ${command.name}: ${command.summary}`,
    '',
    `usage: bellwether ${[command.name, ...command.operands, '[options]'].join(' ')}`,
    '',
    ...options.map(([left, right]) => `${left.padEnd(widest)}  ${right}`),
    ...(command.notes === undefined ? [] : ['', ...command.notes]),
  ];
  return `${lines.join('\n')}\n`;
}
