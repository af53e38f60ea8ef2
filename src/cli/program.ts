import { FleetError } from '../core/kernel/index.js';
import { ERRORS, isErrorCode } from '../protocol/index.js';
import { helpOf, parseGiven, usageError, type Command } from './command.js';
import { COMMANDS } from './commands.js';
import { nearest } from './nearest.js';
import { plain } from './table.js';
import type { Terminal } from './terminal.js';

/** What the program ends with; scripts rely on it. */
export const EXIT = { ok: 0, refused: 1, usage: 2, network: 3 } as const;

/**
 * Runs one command line and gives the exit code. Never throws: what goes wrong is told on standard
 * error in one line with its code and what to do, or as JSON with `-o json`.
 */
export async function runProgram(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await dispatch(words, terminal);
    return EXIT.ok;
  } catch (error) {
    const told = toldOf(error);
    terminal.err(wantsJson(words) ? `${JSON.stringify(told)}\n` : lineOf(told));
    return exitCodeOf(told.code);
  }
}

async function dispatch(words: readonly string[], terminal: Terminal): Promise<void> {
  const [first] = words;
  if (first === undefined || first === '--help' || first === '-h') {
    terminal.out(overview());
    return;
  }
  if (first === 'help') {
    const name = words.slice(1).join(' ');
    terminal.out(name === '' ? overview() : helpOf(find(words.slice(1))));
    return;
  }
  const command = find(words);
  const taken = command.name === first ? 1 : 2;
  const given = parseGiven(command, words.slice(taken));
  if (given.isSet('help')) terminal.out(helpOf(command));
  else await command.run(given, terminal);
}

function find(words: readonly string[]): Command {
  const [first = '', second = ''] = words;
  const found = COMMANDS.find(({ name }) => name === first || name === `${first} ${second}`);
  if (found !== undefined) return found;
  const ofFamily = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (ofFamily.length > 0 && (second === '' || second.startsWith('-'))) {
    const rest = ofFamily.map(({ name }) => name.slice(first.length + 1)).join(', ');
    throw usageError(`\`${first}\` needs a second word: ${rest}`);
  }
  const said = second === '' || second.startsWith('-') ? first : `${first} ${second}`;
  const near = nearest(
    said,
    COMMANDS.map(({ name }) => name),
  );
  throw usageError(
    `there is no command \`${plain(said)}\``,
    near === null ? undefined : `Did you mean \`bellwether ${near}\`?`,
  );
}

interface Told {
  readonly code: string;
  readonly message: string;
  readonly fix: string;
  readonly request_id?: string;
}

/** An error as a person or a script is told it: never a stack trace. */
function toldOf(error: unknown): Told {
  if (!(error instanceof FleetError)) {
    const { code, message } = asSystemError(error);
    const fix =
      code === 'internal_error' ? 'This is a mistake of ours: report it.' : ERRORS[code].fix;
    return { code, message, fix };
  }
  const { fix, request_id: requestId } = error.context;
  const ours = isErrorCode(error.code) ? ERRORS[error.code].fix : '';
  return {
    code: error.code,
    message: error.message,
    fix: typeof fix === 'string' ? fix : ours,
    ...(typeof requestId === 'string' ? { request_id: requestId } : {}),
  };
}

const asSystemError = (
  error: unknown,
): { code: 'local_file_failed' | 'internal_error'; message: string } => {
  const { syscall, message } = error as { syscall?: string; message?: string };
  const code = syscall === undefined ? 'internal_error' : 'local_file_failed';
  return { code, message: message ?? String(error) };
};

const lineOf = ({ code, message, fix, request_id: requestId }: Told): string => {
  const where =
    requestId === undefined || code !== 'internal_error' ? '' : ` (request ${requestId})`;
  return `bellwether: ${plain(message)} [${code}]${where}${fix === '' ? '' : `. ${fix}`}\n`;
};

const exitCodeOf = (code: string): number => {
  if (code === 'cli_usage') return EXIT.usage;
  return code === 'manager_unreachable' ? EXIT.network : EXIT.refused;
};

const wantsJson = (words: readonly string[]): boolean =>
  words.some(
    (word, index) =>
      ['-ojson', '-o=json', '--output=json'].includes(word) ||
      (word === 'json' && ['-o', '--output'].includes(words[index - 1] ?? '')),
  );

function overview(): string {
  const widest = Math.max(...COMMANDS.map(({ name }) => name.length));
  const lines = [
    'bellwether: releases, nodes and rollouts from the command line',
    '',
    'usage: bellwether COMMAND [options]',
    '',
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(widest)}  ${summary}`),
    '',
    'Each command explains itself with --help.',
    'BELLWETHER_MANAGER and BELLWETHER_TOKEN stand in for --manager and --token-file.',
    'Exit codes: 0 done, 1 refused or failed, 2 command line not understood, 3 no manager reached.',
  ];
  return `${lines.join('\n')}\n`;
}
