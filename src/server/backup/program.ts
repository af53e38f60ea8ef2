import { FleetError } from '../../core/kernel/index.js';
import { VERSION, type Config } from '../platform/index.js';
import { backUp, checkBackup, moveToPostgres, restore, type Surroundings } from './commands.js';
import type { Poured } from './pour.js';
import type { ProgressOutput } from './progress.js';

/** EX_USAGE and EX_CONFIG of sysexits.h. */
const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;

export const USAGE = `Usage: bellwether-manager [command]

Without a command it runs the manager. All of them take the environment of the manager.

  backup FOLDER [--without-master-key]   a backup of this installation; the manager may run
  restore FOLDER                         into an empty data directory, and an empty PostgreSQL if DATABASE_URL is set
  restore FOLDER --check                 tries a backup, and writes nothing
  migrate sqlite-to-postgres             from the data directory to the empty PostgreSQL of DATABASE_URL
  version                                the version of this program
  help                                   this text

Exit codes: 0 done, 1 it failed, 64 no such command, 78 the configuration is wrong.
`;

/** What the program reaches out to. */
export interface ProgramWorld {
  readonly config: () => Config;
  readonly now: () => number;
  readonly out: (text: string) => void;
  readonly err: ProgressOutput;
}

interface Asked {
  readonly words: readonly string[];
  readonly flags: readonly string[];
}

type Command = (world: Surroundings, asked: Asked) => Promise<string[]>;

const COMMANDS: Readonly<
  Record<string, { readonly words: number; readonly flags: readonly string[]; run: Command }>
> = {
  backup: { words: 1, flags: ['--without-master-key'], run: backupCommand },
  restore: { words: 1, flags: ['--check'], run: restoreCommand },
  migrate: { words: 1, flags: [], run: migrateCommand },
};

/** Does one command and gives the exit code. What is printed on failure has no stack. */
export async function runCommand(args: readonly string[], world: ProgramWorld): Promise<number> {
  const [name = '', ...rest] = args;
  if (['help', '--help', '-h'].includes(name)) return told(world, USAGE);
  if (['version', '--version'].includes(name)) return told(world, `${VERSION}\n`);
  const command = COMMANDS[name];
  const flags = rest.filter((word) => word.startsWith('-'));
  const words = rest.filter((word) => !word.startsWith('-'));
  const isRight =
    command !== undefined &&
    words.length === command.words &&
    flags.every((flag) => command.flags.includes(flag)) &&
    (name !== 'migrate' || words[0] === 'sqlite-to-postgres');
  if (!isRight) {
    world.err.write(`No such command: ${args.join(' ')}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  try {
    const surroundings = { config: world.config(), now: world.now, output: world.err };
    const lines = await command.run(surroundings, { words, flags });
    return told(world, `${lines.join('\n')}\n`);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    world.err.write(`${name} failed (${error.code}):\n${error.message.replace(/^/gm, '  - ')}\n`);
    return error.code === 'config_invalid' ? EXIT_CONFIG : 1;
  }
}

function told(world: ProgramWorld, text: string): number {
  world.out(text);
  return 0;
}

async function backupCommand(world: Surroundings, { words, flags }: Asked): Promise<string[]> {
  const withMasterKey = !flags.includes('--without-master-key');
  const made = await backUp(world, words[0] ?? '', { withMasterKey });
  const lines = [
    `Backed up into ${made.folder}: ${made.rows} rows of ${made.tables} tables, ${made.files} files.`,
  ];
  if (made.leftOut.includes('master_key')) {
    lines.push(
      'The master key is NOT in it: without that key, kept elsewhere, it opens no secret.',
    );
  } else {
    lines.push('The master key is in it: whoever can read the folder can open every secret.');
  }
  if (made.leftOut.includes('audit_key')) {
    lines.push('The key of the audit log is NOT in it: it was not in this data directory.');
  }
  if (made.leftOut.includes('artifacts')) {
    lines.push('Artifacts are NOT in it: they lie in the bucket.');
  }
  if (made.missing.length > 0) {
    lines.push(`MISSING, or damaged, in this data directory: ${made.missing.length}`);
    lines.push(...made.missing.slice(0, 10).map((what) => `  - ${what}`));
  }
  return lines;
}

async function restoreCommand(world: Surroundings, { words, flags }: Asked): Promise<string[]> {
  const folder = words[0] ?? '';
  if (flags.includes('--check')) {
    return [`The backup in ${folder} is whole: ${found(await checkBackup(world, folder))}`];
  }
  const done = await restore(world, folder);
  const lines = [`Restored from ${folder}: ${found(done)}`];
  if (done.leftOut.includes('master_key')) {
    lines.push('Give the master key that it was made under: BELLWETHER_MASTER_KEY_FILE.');
  }
  if (done.leftOut.includes('audit_key')) {
    lines.push('Bring the key of the audit log too, or a log of another name begins.');
  }
  return [...lines, 'Start the manager.'];
}

async function migrateCommand(world: Surroundings): Promise<string[]> {
  const done = await moveToPostgres(world);
  return [
    `Moved to PostgreSQL: ${found(done)}`,
    'The SQLite file has the ending .moved-to-postgres; remove it when all is well.',
    'Start the manager with DATABASE_URL and the same data directory: keys and artifacts lie in it.',
  ];
}

function found({ rows, tables, log, seals }: Poured): string {
  const counts = `${rows} rows of ${tables} tables, the same on both sides`;
  if (log === null || seals === null) {
    return `${counts}. They are of an earlier version: the next start brings them up to date.`;
  }
  return (
    `${counts}; ${log.entries} audit entries hash to the tree of ${log.size} (${log.root}), which is ` +
    `what ${log.checkpoints} checkpoints say; ${seals.events} events, ${seals.segments} seals are right.`
  );
}
