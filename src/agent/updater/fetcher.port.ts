import type { Readable } from 'node:stream';

/** How a node gets releases. Throws FleetError `upgrade_network_error` or `upgrade_url_invalid`. */
export interface Fetcher {
  fetchRelease(wanted: {
    readonly product: string;
    readonly version: string;
    readonly channel: string;
    readonly sources: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<{ readonly manifest: Uint8Array; readonly signatures: readonly string[] }>;
  /**
   * The artifact from `offset` on. The answer may begin earlier than asked (`from`), when the other
   * side does not know ranges.
   */
  openArtifact(wanted: {
    readonly sha256: string;
    readonly offset: number;
    readonly sources: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<{ readonly stream: Readable; readonly from: number }>;
}
