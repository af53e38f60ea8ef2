import type { Command } from './command.js';

/** The version of this program; a spec holds it against package.json. */
export const CLI_VERSION = '0.1.0';

export const version: Command = {
  name: 'version',
  summary: 'the version of this program; that of the manager is in `status`',
  operands: [],
  options: {},
  run: async (_given, terminal) => {
    terminal.out(`${CLI_VERSION}\n`);
  },
};
