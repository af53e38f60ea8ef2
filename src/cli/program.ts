import { FleetError } from '../core/kernel/index.js';
import { ERRORS, isErrorCode } from '../protocol/index.js';
import { helpOf, parseGiven } from './command.js';
import { COMMANDS } from './commands.js';
import { completions } from './completion/index.js';
import { EXIT, exitCodeOf } from './exit.js';
import { jsonText, plain } from './output/index.js';
import type { Terminal } from './terminal.js';
import { familyOf, findCommand } from './words.js';

/**
 * Runs one command line and gives the exit code. Never throws: what goes wrong is told on standard
 * error in one line with its code and what to do, or as JSON with `-o json`.
 */
export async function runProgram(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return (await dispatch(words, terminal)) ?? EXIT.ok;
  } catch (error) {
    const told = toldOf(error);
    terminal.err(wantsJson(words) ? `${jsonText(told, 0)}\n` : lineOf(told));
    return exitCodeOf(told.code);
  }
}

const asksForHelp = (word: string | undefined): boolean => word === '--help' || word === '-h';

async function dispatch(words: readonly string[], terminal: Terminal): Promise<number | undefined> {
  const [first, second] = words;
  if (first === undefined || asksForHelp(first)) {
    terminal.out(overview());
    return;
  }
  if (first === '--version') return dispatch(['version'], terminal);
  if (first === 'help') {
    terminal.out(helpFor(words.slice(1)));
    return;
  }
  if (first === '__complete') {
    terminal.out(await completions(words.slice(1), COMMANDS, terminal));
    return;
  }
  if (asksForHelp(second) && familyOf(first, COMMANDS).length > 0) {
    terminal.out(familyHelp(first));
    return;
  }
  const { command, taken } = findCommand(words, COMMANDS);
  const given = parseGiven(command, words.slice(taken));
  if (given.isSet('help')) terminal.out(helpOf(command));
  else return command.run(given, terminal);
}

function helpFor(words: readonly string[]): string {
  const [first] = words;
  if (first === undefined) return overview();
  if (words.length === 1 && familyOf(first, COMMANDS).length > 0) return familyHelp(first);
  return helpOf(findCommand(words, COMMANDS).command);
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
  // The manager does not know that a person sits at a terminal.
  if (error.code === 'unauthenticated') return signInAgain(error);
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
  return `bellwether: ${plain(message)} [${code}]${where}${fix === '' ? '' : `. ${plain(fix)}`}\n`;
};

const wantsJson = (words: readonly string[]): boolean =>
  words.some(
    (word, index) =>
      ['-ojson', '-o=json', '--output=json'].includes(word) ||
      (word === 'json' && ['-o', '--output'].includes(words[index - 1] ?? '')),
  );

function signInAgain({ code, message, context }: FleetError): Told {
  const fix = 'The token is unknown or has ended: `bellwether login` makes a new one.';
  const { request_id: id } = context;
  return { code, message, fix, ...(typeof id === 'string' ? { request_id: id } : {}) };
}

const commandLines = (commands: typeof COMMANDS): string[] => {
  const widest = Math.max(...commands.map(({ name }) => name.length));
  return commands.map(({ name, summary }) => `  ${name.padEnd(widest)}  ${summary}`);
};

function familyHelp(noun: string): string {
  const family = familyOf(noun, COMMANDS);
  const lines = [...commandLines(family), '', 'Each command explains itself with --help.'];
  return `${lines.join('\n')}\n`;
}

function overview(): string {
  const lines = [
    'bellwether: releases, nodes and rollouts from the command line',
    '',
    'usage: bellwether COMMAND [options]',
    '',
    ...commandLines(COMMANDS),
    '',
    'Each command explains itself with --help, and each noun its commands: `bellwether nodes --help`.',
    'Singular and plural are the same, and so are `ls` and `list`, `rm` and `delete`.',
    'A manager and a token come from options, else BELLWETHER_MANAGER and BELLWETHER_TOKEN, else the',
    'context that `login` wrote. `bellwether completion bash` completes words and names.',
    'Exit codes: 0 done, 1 refused or failed, 2 command line not understood, 3 no manager reached,',
    '4 not found, 5 not allowed, 6 conflict, 7 rollout ended badly, 8 time limit, 9 `diff` differs.',
  ];
  return `${lines.join('\n')}\n`;
}
