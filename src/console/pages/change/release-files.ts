import type { Answer } from '../../../client/index.js';
import type { Manifest } from '../../../core/release/index.js';

export type ReleaseWhole = Answer<'releases.show'>;

/** A release folder as `bellwether release pack` and `sign` leave it, picked in the browser. */
export interface PickedRelease {
  /** Byte for byte, as it was signed. */
  readonly text: string;
  readonly manifest: Manifest;
  readonly signatures: readonly { readonly file: string; readonly text: string }[];
  /** Every file that the manifest names, with the picked one where there is one. */
  readonly parts: readonly PickedPart[];
}
export interface PickedPart {
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
  readonly picked: File | null;
}

const MANIFEST_FILE = 'manifest.json';
const SIGNATURE_FILE = /^manifest\.json\.[A-Za-z0-9._@-]{1,64}\.(minisig|sigstore\.json)$/;
/** As the manager takes them; see `MANIFEST_BYTES_MAX` and `SIGNATURE_BYTES_MAX`. */
const MANIFEST_BYTES_MAX = 1024 * 1024;
const SIGNATURE_BYTES_MAX = 64 * 1024;

/** Why what was picked is no release; in words for whoever picked it. */
export class NoRelease extends Error {
  override readonly name = 'NoRelease';
}

/**
 * Reads manifest and signatures of what was picked. The manager checks the manifest by its schema, and every
 * signature; here only what is needed to send it is looked at. Throws `NoRelease`.
 */
export async function readPicked(files: readonly File[]): Promise<PickedRelease> {
  const byName = new Map(files.map((file) => [file.name, file]));
  const manifestFile = byName.get(MANIFEST_FILE);
  if (manifestFile === undefined) {
    throw new NoRelease(
      'There is no manifest.json among these files. Pick the whole folder that `bellwether release pack` wrote.',
    );
  }
  const text = await textOf(manifestFile, MANIFEST_BYTES_MAX);
  const manifest = manifestIn(text);
  const signed = files.filter(({ name }) => SIGNATURE_FILE.test(name));
  signed.sort((a, b) => (a.name < b.name ? -1 : 1));
  const signatures = await Promise.all(
    signed.map(async (file) => ({
      file: file.name,
      text: await textOf(file, SIGNATURE_BYTES_MAX),
    })),
  );
  const parts = [...manifest.artifacts, ...(manifest.deltas ?? [])].map((part) => {
    const picked = byName.get(part.file) ?? null;
    if (picked !== null && picked.size !== part.size) {
      throw new NoRelease(
        `${part.file} has ${picked.size} bytes, and the manifest says ${part.size}. Pack the release again.`,
      );
    }
    return { file: part.file, size: part.size, sha256: part.sha256, picked };
  });
  return { text, manifest, signatures, parts };
}

async function textOf(file: File, bytesMax: number): Promise<string> {
  if (file.size > bytesMax) throw new NoRelease(`${file.name} is larger than ${bytesMax} bytes.`);
  try {
    // Nothing may be taken away or put in: these bytes are signed.
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    return decoder.decode(await file.arrayBuffer());
  } catch {
    throw new NoRelease(`${file.name} is not a text in UTF-8.`);
  }
}

function manifestIn(text: string): Manifest {
  try {
    const json = JSON.parse(text) as Partial<Manifest>;
    const isRelease = json.schema === 'bellwether.manifest.v1' && Array.isArray(json.artifacts);
    if (isRelease) return json as Manifest;
  } catch {
    // Told below.
  }
  throw new NoRelease('manifest.json is not the manifest of a release.');
}
