/**
 * Buffers that went by are garbage of which the shipped runtime lets dozens of megabytes lie: a heap
 * of 15 MB is walked in a few milliseconds, so it is asked to do so each time this many have passed.
 */
const COLLECT_EVERY_BYTES = 8 * 1024 * 1024;

interface Runtime {
  readonly Bun?: { gc(isSynchronous: boolean): void };
}

/** Called with the length of each chunk that streams by; keeps memory low. Node collects by itself. */
export function collector(): (bytes: number) => void {
  const runtime = (globalThis as Runtime).Bun;
  let passed = 0;
  return (bytes) => {
    passed += bytes;
    if (passed < COLLECT_EVERY_BYTES) return;
    passed = 0;
    runtime?.gc(true);
  };
}
