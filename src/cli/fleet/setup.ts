import { readFile } from 'node:fs/promises';
import { usageError, type Command } from '../command.js';
import { connectAsNobody, MANAGER_OPTION, OUTPUT_OPTION, show } from '../connection.js';
import { reserveSecretFile } from '../new-file.js';

export const setup: Command = {
  name: 'setup',
  summary: 'trade the one-time set-up token for the first admin token',
  operands: [],
  options: {
    ...MANAGER_OPTION,
    'setup-token': { value: 'T', help: 'the token that the manager showed at its first start' },
    'setup-token-file': { value: 'FILE', help: 'the same, from a file' },
    name: { value: 'NAME', help: 'name of the admin token (default: first admin)' },
    'token-out': { value: 'FILE', help: 'write the admin token here (mode 0600), do not show it' },
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const file = given.optional('setup-token-file');
    const setupToken =
      file === undefined ? given.optional('setup-token') : await readFile(file, 'utf8');
    if (setupToken === undefined) {
      throw usageError('`setup` needs --setup-token T or --setup-token-file FILE');
    }
    const { client } = await connectAsNobody(given, terminal);
    const out = given.optional('token-out');
    const name = given.optional('name') ?? 'first admin';
    const body = { setup_token: setupToken.trim(), name };
    if (out === undefined) {
      const made = await client.call('setup.finish', { body });
      show(given, terminal, made, ({ secret }) => `${secret}\n`);
      terminal.err('keep this token: it is shown once\n');
      return;
    }
    // The file first: a token that could not be kept would be lost, and the set-up done.
    const kept = await reserveSecretFile(out);
    const made = await client.call('setup.finish', { body }).catch(async (error: unknown) => {
      await kept.drop();
      throw error;
    });
    const { secret, ...rest } = made;
    await kept.fill(`${secret}\n`);
    show(given, terminal, rest, ({ id }) => `admin token ${id} written to ${out}\n`);
  },
};
