import type { Readable } from 'node:stream';
import { FleetError } from '../../../core/kernel/index.js';

/** A release as a source has it; nothing of it is trusted, everything of it is bounded. */
export interface Candidate {
  /** What people know it by there, such as a tag or a folder. */
  readonly name: string;
  /** At most `MANIFEST_BYTES_MAX`. */
  readonly manifest: () => Promise<Buffer>;
  /** At most sixteen, each at most `SIGNATURE_BYTES_MAX`. */
  readonly signatures: () => Promise<readonly string[]>;
  /** By the file name in its manifest. The reader may stop at any byte. */
  readonly artifact: (file: string) => Promise<Readable>;
}

/** What a look at a source found. */
export interface Look {
  /** Null: nothing has changed since the look that gave this tag. */
  readonly candidates: readonly Candidate[] | null;
  /** Of the list, to be given at the next look; null when the source has none. */
  readonly etag: string | null;
}

/** One source of releases. Throws `release_source_failed`. */
export interface SourceReader {
  look(etag: string | null, signal: AbortSignal): Promise<Look>;
}

/** Releases looked at in one go: the first in the order of the source, which is newest first. */
export const CANDIDATES_MAX = 50;
/** As many as a release can be published with. */
export const SIGNATURES_MAX = 16;

export const sourceFailed = (message: string, cause?: unknown): FleetError =>
  new FleetError('release_source_failed', message, { kind: 'operational', cause });

/** As `bellwether release sign` calls them. */
export const SIGNATURE_FILE = /^manifest\.json\.[A-Za-z0-9._@-]{1,64}\.minisig$/;
export const MANIFEST_FILE = 'manifest.json';
