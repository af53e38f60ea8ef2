/**
 * What is let through in one go. A node gives a connection up that brings nothing for 30 s; so with the
 * 1 KiB/s for each download that the configuration asks for, every one has its turn within 16 s.
 */
const SLICE_BYTES = 16 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * One rate for many streams. Nodes take turns, whatever each of them has open, so that one with four
 * downloads gets no more than one with a single. Null is no limit: then nobody waits.
 */
export class Pace {
  readonly #bytesPerSecond: number | null;
  readonly #lines = new Map<string, Waiting[]>();
  #timer: NodeJS.Timeout | null = null;
  /** When what was let through so far will have passed, by the monotonic clock. */
  #freeAt = 0;

  constructor(bytesPerSecond: number | null) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  get sliceBytes(): number {
    return this.#bytesPerSecond === null ? Number.POSITIVE_INFINITY : SLICE_BYTES;
  }

  /** Returns when so many bytes may go out; at most `sliceBytes` at once. */
  async take(nodeId: string, bytes: number): Promise<void> {
    if (this.#bytesPerSecond === null) return;
    await new Promise<void>((go) => {
      const line = this.#lines.get(nodeId) ?? [];
      line.push({ bytes, go });
      this.#lines.set(nodeId, line);
      this.#serve(this.#bytesPerSecond ?? 1);
    });
  }

  #serve(bytesPerSecond: number): void {
    if (this.#timer !== null) return;
    for (;;) {
      const [nodeId, line] = this.#lines.entries().next().value ?? [];
      if (nodeId === undefined || line === undefined) return;
      const now = performance.now();
      if (this.#freeAt > now) {
        this.#timer = setTimeout(() => {
          this.#timer = null;
          this.#serve(bytesPerSecond);
        }, this.#freeAt - now);
        return;
      }
      // Behind all others: whoever was served waits for its next turn.
      this.#lines.delete(nodeId);
      const first = line.shift();
      if (line.length > 0) this.#lines.set(nodeId, line);
      if (first === undefined) continue;
      this.#freeAt = Math.max(this.#freeAt, now) + (first.bytes / bytesPerSecond) * 1_000;
      first.go();
    }
  }
}
