import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  formatPublicKey,
  formatSecretKey,
  newSecretKey,
  publicKeyOf,
  shownKeyId,
} from '../../core/release/index.js';
import { usageError, type Command, type Given, type OptionSpec } from '../command.js';
import { writeNew } from '../new-file.js';
import type { Terminal } from '../terminal.js';
import { SIGNER_NAME } from './folder.js';

/** How the password of a secret key is given: never on the command line, where others see it. */
export const PASSWORD_OPTION: Readonly<Record<string, OptionSpec>> = {
  'password-file': {
    value: 'FILE',
    help: 'password of the secret key (or BELLWETHER_KEY_PASSWORD)',
  },
};

/** The password, without the end of its line, or null when none was given. */
export async function readPassword(given: Given, terminal: Terminal): Promise<string | null> {
  const file = given.optional('password-file');
  const text =
    file === undefined
      ? (terminal.env['BELLWETHER_KEY_PASSWORD'] ?? '')
      : await readFile(file, 'utf8');
  const password = text.replace(/\r?\n$/, '');
  if (password === '' && file !== undefined) throw usageError(`${file} holds no password`);
  return password === '' ? null : password;
}

export const keygen: Command = {
  name: 'release keygen',
  summary: 'make a signing key pair',
  operands: [],
  options: {
    out: { value: 'DIR', help: 'folder for NAME.key and NAME.pub', isRequired: true },
    name: { value: 'NAME', help: 'name of the signer (default: release)' },
    ...PASSWORD_OPTION,
  },
  notes: [
    'Both files are those of minisign. NAME.key never leaves the machine that signs; the second',
    'line of NAME.pub goes into the policy of the nodes. Nothing that exists is overwritten.',
  ],
  run: async (given, terminal) => {
    const name = given.optional('name') ?? 'release';
    if (!SIGNER_NAME.test(name)) throw usageError(`--name ${name}: take letters, digits, . _ @ -`);
    const password = await readPassword(given, terminal);
    const key = newSecretKey({ seed: randomBytes(32), keyId: randomBytes(8) });
    if (password !== null) terminal.err('locking the key with the password, a few seconds ...\n');
    const secret = formatSecretKey(
      key,
      password === null ? undefined : { password, salt: randomBytes(32) },
    );
    const folder = given.text('out');
    await mkdir(folder, { recursive: true });
    const paths = { secret: join(folder, `${name}.key`), public: join(folder, `${name}.pub`) };
    await writeNew(paths.secret, secret, 0o600);
    await writeNew(paths.public, formatPublicKey(publicKeyOf(key)), 0o644);
    terminal.out(
      `secret key  ${paths.secret}\npublic key  ${paths.public}\nkey id      ${shownKeyId(key.keyId)}\n`,
    );
    if (password === null) {
      terminal.err('note: the secret key has no password; whoever reads the file can sign\n');
    }
  },
};
