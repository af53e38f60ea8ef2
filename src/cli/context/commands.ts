import type { Command, OptionSpec } from '../command.js';
import {
  facts,
  OUTPUT_OPTION,
  ROWS_OPTIONS,
  show,
  showRows,
  type Column,
} from '../output/index.js';
import { contextOf, type Context } from './context.js';
import { configPath, readConfig, writeConfig, type Config } from './store.js';

/** A context without its secrets. */
interface Told {
  readonly name: string;
  readonly current: boolean;
  readonly manager: string;
  readonly login: string | null;
  readonly credential: 'token' | 'session' | 'none' | 'ended';
  readonly expires_at: string | null;
  readonly own_ca: boolean;
}

function told(context: Context, config: Config, now: number): Told {
  const { name, manager, login, token, expires_at: ends } = context;
  const isOver = ends !== undefined && Date.parse(ends) <= now;
  const kind = login === undefined ? 'token' : 'session';
  return {
    name,
    current: config.current === name,
    manager,
    login: login ?? null,
    credential: token === undefined ? 'none' : isOver ? 'ended' : kind,
    expires_at: ends ?? null,
    own_ca: context.ca_pem !== undefined,
  };
}

const COLUMNS: readonly Column<Told>[] = [
  ['name', (one) => one.name],
  ['in use', (one) => (one.current ? '*' : '')],
  ['manager', (one) => one.manager],
  ['login', (one) => one.login],
  ['credential', (one) => one.credential],
  ['until', (one) => one.expires_at, 'time'],
  ['own ca', (one) => (one.own_ca ? 'yes' : ''), 'wide'],
];

const LOCAL_ROWS: Readonly<Record<string, OptionSpec>> = Object.fromEntries(
  Object.entries(ROWS_OPTIONS).filter(([name]) => name !== 'watch'),
);

export const listContexts: Command = {
  name: 'context list',
  summary: 'managers that you have signed in to',
  operands: [],
  options: LOCAL_ROWS,
  run: async (given, terminal) => {
    const config = await readConfig(terminal);
    await showRows(given, terminal, {
      load: async () => ({
        items: Object.keys(config.contexts)
          .sort()
          .map((name) => told(contextOf(config, name), config, terminal.now())),
      }),
      columns: COLUMNS,
      whenEmpty: 'no contexts: `bellwether login` writes one',
    });
  },
};

export const useContext: Command = {
  name: 'context use',
  summary: 'talk to this manager when nothing else is said',
  operands: ['NAME'],
  options: {},
  run: async (given, terminal) => {
    const config = await readConfig(terminal);
    const { name, manager } = contextOf(config, given.operand(0));
    await writeConfig(terminal, { ...config, current: name });
    terminal.out(`using ${name}: ${manager}\n`);
  },
};

export const showContext: Command = {
  name: 'context show',
  summary: 'one context, or the one in use; never its token',
  operands: ['[NAME]'],
  options: OUTPUT_OPTION,
  run: async (given, terminal) => {
    const config = await readConfig(terminal);
    const name = given.operand(0) || (terminal.env['BELLWETHER_CONTEXT'] ?? config.current ?? '');
    const result = told(contextOf(config, name), config, terminal.now());
    show(given, terminal, result, (one) =>
      facts([
        ['name', one.name],
        ['in use', one.current ? 'yes' : 'no'],
        ['manager', one.manager],
        ['login', one.login],
        ['credential', one.credential],
        ['until', one.expires_at],
        ['own ca', one.own_ca ? 'yes' : 'no'],
        ['file', configPath(terminal)],
      ]),
    );
  },
};

export const deleteContext: Command = {
  name: 'context delete',
  summary: 'forget a manager with its token; does not end the session there (`logout` does)',
  operands: ['NAME'],
  options: {},
  run: async (given, terminal) => {
    const config = await readConfig(terminal);
    const { name } = contextOf(config, given.operand(0));
    const contexts = Object.fromEntries(
      Object.entries(config.contexts).filter(([one]) => one !== name),
    );
    const current = config.current === name ? null : config.current;
    await writeConfig(terminal, { ...config, contexts, current });
    terminal.out(`forgot ${name}\n`);
  },
};
