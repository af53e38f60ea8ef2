import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import {
  ChannelIndex,
  DOCUMENT_BYTES_MAX,
  DowngradePermit,
  parseDocument,
  PolicyUpdate,
  SIGNATURE_BYTES_MAX,
} from '../../core/release/index.js';
import { MANIFEST_FILE, readReleaseFolder } from './folder.js';

/** Something that can be signed, with the signatures that lie beside it already. */
export interface Signable {
  /** The file that is signed: signatures are `<file>.<signer>.minisig`. */
  readonly file: string;
  readonly bytes: Buffer;
  /** Goes under the signature; without a time, so that the same input gives the same file. */
  readonly comment: string;
  /** What it is, in words. */
  readonly name: string;
  readonly signatures: readonly { readonly file: string; readonly text: string }[];
}

/** A release folder (its manifest) or a file that holds another signed document. */
export async function readSignable(path: string): Promise<Signable> {
  if (!(await stat(path)).isDirectory()) return readDocument(path);
  const { manifest, manifestBytes: bytes, signatures } = await readReleaseFolder(path);
  const { product, version, channel, sequence } = manifest;
  const comment = `product:${product} version:${version} channel:${channel} sequence:${sequence}`;
  const file = join(path, MANIFEST_FILE);
  return { file, bytes, comment, name: `${product} ${version}`, signatures };
}

const KINDS = {
  'bellwether.channel.v1': { schema: ChannelIndex, what: 'channel index' },
  'bellwether.downgrade.v1': { schema: DowngradePermit, what: 'downgrade permit' },
  'bellwether.policy.v1': { schema: PolicyUpdate, what: 'policy update' },
} as const;
const Tagged = z.looseObject({
  schema: z.enum(Object.keys(KINDS) as [keyof typeof KINDS, ...(keyof typeof KINDS)[]]),
});

/** Throws `release_document_invalid` for whatever is not plainly one of the signed documents. */
export async function readDocument(file: string): Promise<Signable> {
  const bytes = Buffer.from(await readSmall(file, DOCUMENT_BYTES_MAX), 'utf8');
  const tagged = Tagged.safeParse(parseJson(bytes));
  if (!tagged.success) {
    const kinds = Object.values(KINDS).map(({ what }) => what);
    const message = `${file} is none of ${kinds.join(', ')}, and no release folder`;
    throw new FleetError('release_document_invalid', message);
  }
  const { schema, what } = KINDS[tagged.data.schema];
  const parsed = parseDocument<z.ZodType<{ product: string; sequence: number }>>(
    schema,
    bytes,
    what,
  );
  if (!parsed.ok) throw new FleetError(parsed.error.code, `${file}: ${parsed.error.message}`);
  const { product, sequence } = parsed.value;
  const comment = `schema:${tagged.data.schema} product:${product} sequence:${sequence}`;
  const name = `${what} ${sequence} of ${product}`;
  return { file, bytes, comment, name, signatures: await signaturesBeside(file) };
}

async function signaturesBeside(file: string): Promise<Signable['signatures']> {
  const folder = dirname(file);
  const names = (await readdir(folder))
    .filter(
      (name) => name.startsWith(`${basename(file)}.`) && /\.(minisig|sigstore\.json)$/.test(name),
    )
    .sort();
  return Promise.all(
    names.map(async (name) => ({
      file: name,
      text: await readSmall(join(folder, name), SIGNATURE_BYTES_MAX),
    })),
  );
}

async function readSmall(path: string, bytesMax: number): Promise<string> {
  const { size } = await stat(path);
  if (size > bytesMax) {
    throw new FleetError('local_file_failed', `${path} has ${size} bytes; at most ${bytesMax} fit`);
  }
  return readFile(path, 'utf8');
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return null;
  }
}
