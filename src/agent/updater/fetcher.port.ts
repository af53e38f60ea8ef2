import type { Readable } from 'node:stream';
import type { FleetError } from '../../core/kernel/index.js';
import type { SignedDocument } from '../../core/release/index.js';

/** Which document beside a release is meant. */
export type DocumentName =
  | { readonly kind: 'channel'; readonly product: string; readonly channel: string }
  | {
      readonly kind: 'downgrade';
      readonly product: string;
      readonly channel: string;
      readonly version: string;
    };

export interface FetchedRelease {
  readonly manifest: Uint8Array;
  readonly signatures: readonly string[];
}

/** Answers of 4xx that may be others a moment later (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4). */
const PASSING: ReadonlySet<unknown> = new Set([408, 425, 429]);

/** A source that answers, and has nothing for this node: it will hardly think better of it soon. */
export function saysNo({ context }: FleetError): boolean {
  const { status } = context;
  return typeof status === 'number' && status >= 400 && status < 500 && !PASSING.has(status);
}

/**
 * How a node gets releases. Throws FleetError `upgrade_network_error`, with the `status` of an answer and what it says of
 * when to come again (`retry_after_ms`) in its context, or `upgrade_url_invalid`.
 */
export interface Fetcher {
  fetchRelease(wanted: {
    readonly product: string;
    readonly version: string;
    readonly channel: string;
    readonly sources: readonly string[];
    readonly signal: AbortSignal;
    /** Throws FleetError when a release cannot be used; then the next source is asked. */
    readonly accept?: (release: FetchedRelease) => void;
  }): Promise<FetchedRelease>;
  /** A signed document; null when no source has one. What comes is bounded, not yet trusted. */
  fetchDocument(wanted: {
    readonly name: DocumentName;
    readonly sources: readonly string[];
    readonly signal: AbortSignal;
    /** As above. */
    readonly accept?: (signed: SignedDocument) => void;
  }): Promise<SignedDocument | null>;
  /**
   * The artifact from `offset` on. The answer may begin earlier than asked (`from`), when the other
   * side does not know ranges.
   */
  openArtifact(wanted: {
    readonly sha256: string;
    readonly offset: number;
    readonly sources: readonly string[];
    readonly signal: AbortSignal;
    /** The size that was signed: who announces another is not listened to. */
    readonly size?: number;
    /** Where the manifest says that it lies besides; tried last, and only if the policy allows it. */
    readonly url?: string | undefined;
    /** Sources that are not asked (any more). When none is left, rejects with the code of the last. */
    readonly avoid?: ReadonlySet<string>;
  }): Promise<{
    readonly stream: Readable;
    readonly from: number;
    /** Which source answered, as `avoid` names it. */
    readonly source: string;
  }>;
}
