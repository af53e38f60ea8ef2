import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
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
import {
  readReleaseFolder,
  readSmall,
  signatureFile,
  SIGNER_NAME,
  type ReleaseFolder,
} from './folder.js';
import { PASSWORD_OPTION, readPassword } from './keygen.js';

export const sign: Command = {
  name: 'release sign',
  summary: 'sign the manifest of a packed release',
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
    const release = await readReleaseFolder(given.operand(0));
    const made =
      keyFile === undefined
        ? await attached(from, release)
        : await signed(await readKey(keyFile, given, terminal), release);
    const file = signatureFile(name, made.kind);
    const path = join(release.folder, file);
    const before = release.signatures.find((one) => one.file === file);
    if (before?.text !== made.text) await writeNew(path, made.text, 0o644);
    const { product, version } = release.manifest;
    terminal.out(`${path}\n`);
    terminal.err(`signed ${product} ${version} with ${made.by}\n`);
  },
};

interface Made {
  readonly kind: 'minisig' | 'sigstore.json';
  readonly text: string;
  readonly by: string;
}

async function signed(key: MinisignSecretKey, release: ReleaseFolder): Promise<Made> {
  const { product, version, channel, sequence } = release.manifest;
  // Without a time: the same key over the same release gives the same file.
  const comment = `product:${product} version:${version} channel:${channel} sequence:${sequence}`;
  const signature = signMinisign(key, release.manifestBytes, comment);
  if (!signature.ok) throw new FleetError(signature.error.code, signature.error.message);
  return { kind: 'minisig', text: signature.value, by: `key ${shownKeyId(key.keyId)}` };
}

/** Says at once what no node would take; whom to trust is for `verify` and the nodes. */
async function attached(path: string, release: ReleaseFolder): Promise<Made> {
  const text = (await readSmall(path, SIGNATURE_BYTES_MAX)).toString('utf8');
  const bundle = parseBundle(text);
  if (!bundle.ok) throw new FleetError(bundle.error.code, `${path}: ${bundle.error.message}`);
  if (!isAbout(bundle.value, release.manifestBytes)) {
    throw new FleetError(
      'upgrade_signature_invalid',
      `${path} is about other bytes than the manifest of ${release.folder}`,
      { context: { fix: 'Sign the file manifest.json of this release, as it is.' } },
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
