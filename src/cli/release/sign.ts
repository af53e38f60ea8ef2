import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import {
  isAbout,
  needsPassword,
  parseBundle,
  parseSecretKey,
  SIGNATURE_BYTES_MAX,
  shownKeyId,
  signMinisign,
  type MinisignSecretKey,
} from '../../core/release/index.js';
import { usageError, type Command, type Given } from '../command.js';
import { writeNew } from '../new-file.js';
import type { Terminal } from '../terminal.js';
import { readSmall, SIGNER_NAME } from './folder.js';
import { PASSWORD_OPTION, readPassword } from './keygen.js';
import { readSignable, type Signable } from './signable.js';

export const sign: Command = {
  name: 'release sign',
  summary: 'sign the manifest of a packed release, or another document',
  operands: ['DIR'],
  options: {
    key: { value: 'FILE', help: 'secret key, ours or made by minisign' },
    attach: { value: 'BUNDLE', help: 'a Sigstore bundle over the manifest, made elsewhere' },
    name: { value: 'NAME', help: 'name of the signer (default: the file without its ending)' },
    ...PASSWORD_OPTION,
  },
  notes: [
    'Each signer adds a file of its own. The artifacts are covered by their digests.',
    'A bundle is made by `cosign sign-blob manifest.json --bundle BUNDLE`, or by another tool of',
    'Sigstore; here it is only held against the manifest. `bellwether release verify` verifies it.',
  ],
  run: async (given, terminal) => {
    const [keyFile, bundleFile] = [given.optional('key'), given.optional('attach')];
    if ((keyFile === undefined) === (bundleFile === undefined)) {
      throw usageError('`release sign` needs --key FILE or --attach BUNDLE, one of them');
    }
    const from = keyFile ?? bundleFile ?? '';
    const name =
      given.optional('name') ?? basename(from).replace(/(\.key|(\.sigstore)?\.json)$/, '');
    if (!SIGNER_NAME.test(name)) throw usageError(`--name ${name}: take letters, digits, . _ @ -`);
    const target = await readSignable(given.operand(0));
    const made =
      keyFile === undefined
        ? await attached(from, target)
        : signed(await readKey(keyFile, given, terminal), target);
    const path = `${target.file}.${name}.${made.kind}`;
    const before = target.signatures.find(({ file }) => file === basename(path));
    if (before?.text !== made.text) await writeNew(path, made.text, 0o644);
    terminal.out(`${path}\n`);
    terminal.err(`signed ${target.name} with ${made.by}\n`);
  },
};

interface Made {
  readonly kind: 'minisig' | 'sigstore.json';
  readonly text: string;
  readonly by: string;
}

function signed(key: MinisignSecretKey, target: Signable): Made {
  const signature = signMinisign(key, target.bytes, target.comment);
  if (!signature.ok) throw new FleetError(signature.error.code, signature.error.message);
  return { kind: 'minisig', text: signature.value, by: `key ${shownKeyId(key.keyId)}` };
}

/** Says at once what no node would take; whom to trust is for `verify` and the nodes. */
async function attached(path: string, target: Signable): Promise<Made> {
  const text = (await readSmall(path, SIGNATURE_BYTES_MAX)).toString('utf8');
  const bundle = parseBundle(text);
  if (!bundle.ok) throw new FleetError(bundle.error.code, `${path}: ${bundle.error.message}`);
  if (!isAbout(bundle.value, target.bytes)) {
    throw new FleetError(
      'upgrade_signature_invalid',
      `${path} is about other bytes than ${target.file}`,
      { context: { fix: 'Sign that file, as it is.' } },
    );
  }
  return { kind: 'sigstore.json', text, by: 'a Sigstore bundle' };
}

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
