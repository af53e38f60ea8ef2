import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import {
  needsPassword,
  parseSecretKey,
  shownKeyId,
  signMinisign,
  type MinisignSecretKey,
} from '../../core/release/index.js';
import { usageError, type Command, type Given } from '../command.js';
import { writeNew } from '../new-file.js';
import type { Terminal } from '../terminal.js';
import { readReleaseFolder, signatureFile, SIGNER_NAME } from './folder.js';
import { PASSWORD_OPTION, readPassword } from './keygen.js';

export const sign: Command = {
  name: 'release sign',
  summary: 'sign the manifest of a packed release',
  operands: ['DIR'],
  options: {
    key: { value: 'FILE', help: 'secret key, ours or made by minisign', isRequired: true },
    name: { value: 'NAME', help: 'name of the signer (default: the key file without .key)' },
    ...PASSWORD_OPTION,
  },
  notes: ['Each signer adds a file of its own. The artifacts are covered by their digests.'],
  run: async (given, terminal) => {
    const keyFile = given.text('key');
    const name = given.optional('name') ?? basename(keyFile).replace(/\.key$/, '');
    if (!SIGNER_NAME.test(name)) throw usageError(`--name ${name}: take letters, digits, . _ @ -`);
    const release = await readReleaseFolder(given.operand(0));
    const key = await readKey(keyFile, given, terminal);
    const { product, version, channel, sequence } = release.manifest;
    // Without a time: the same key over the same release gives the same file.
    const comment = `product:${product} version:${version} channel:${channel} sequence:${sequence}`;
    const signature = signMinisign(key, release.manifestBytes, comment);
    if (!signature.ok) throw new FleetError(signature.error.code, signature.error.message);
    const path = join(release.folder, signatureFile(name));
    const before = release.signatures.find(({ file }) => file === signatureFile(name));
    if (before?.text !== signature.value) await writeNew(path, signature.value, 0o644);
    terminal.out(`${path}\n`);
    terminal.err(`signed ${product} ${version} with key ${shownKeyId(key.keyId)}\n`);
  },
};

async function readKey(path: string, given: Given, terminal: Terminal): Promise<MinisignSecretKey> {
  const text = await readFile(path, 'utf8');
  const password = await readPassword(given, terminal);
  if (needsPassword(text)) {
    if (password === null) {
      throw usageError(
        `${path} is locked with a password`,
        'Give --password-file FILE, or set BELLWETHER_KEY_PASSWORD.',
      );
    }
    terminal.err('opening the key with the password, a few seconds ...\n');
  }
  const key = parseSecretKey(text, password ?? '');
  if (!key.ok) throw new FleetError(key.error.code, `${path}: ${key.error.message}`);
  return key.value;
}
