import { readFileSync } from 'node:fs';

/**
 * Once what is needed at the start only has run; again for what the first time itself needed, and for what an
 * upgrade or a question of a person has brought in.
 */
const FIRST_MS = [10_000, 30_000] as const;
const EVERY_MS = 10 * 60_000;

/** madvise(2): unmap; the pages stay in the cache of the system, and are mapped again when they are touched. */
const MADV_DONTNEED = 4;
/** The same for mappings that can be written: what was written stays, whatever happens. Linux 5.4. */
const MADV_PAGEOUT = 21;

interface Runtime {
  readonly Bun?: { gc(isSynchronous: boolean): void };
}

interface ForeignFunctions {
  readonly dlopen: (
    file: string,
    functions: { readonly madvise: { readonly args: readonly string[]; readonly returns: string } },
  ) => {
    readonly symbols: { readonly madvise: (at: bigint, bytes: bigint, advice: number) => number };
  };
}

export interface FileMapping {
  readonly at: bigint;
  readonly bytes: bigint;
  readonly advice: typeof MADV_DONTNEED | typeof MADV_PAGEOUT;
}

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (r-xp|r--p|rw-p) [0-9a-f]+ \S+ [1-9]\d* +\//;
const HEAD = /^[0-9a-f]+-[0-9a-f]+ /;
const WRITTEN = /^Anonymous: +(\d+) kB$/;

/**
 * The private mappings of files in the text of /proc/PID/smaps, and how the pages of each can be given
 * back: one that cannot be written, and of which no page differs from its file, may be dropped; all others
 * are only offered to the kernel, which keeps what was written.
 */
export function mappingsIn(smaps: string): FileMapping[] {
  const found: FileMapping[] = [];
  let head: RegExpExecArray | null = null;
  for (const line of smaps.split('\n')) {
    if (HEAD.test(line)) head = MAPPING.exec(line);
    const written = WRITTEN.exec(line)?.[1];
    const [, from, to, rights] = head ?? [];
    if (written === undefined || from === undefined || to === undefined) continue;
    const at = BigInt(`0x${from}`);
    const isAsTheFile = rights !== 'rw-p' && written === '0';
    const advice = isAsTheFile ? MADV_DONTNEED : MADV_PAGEOUT;
    found.push({ at, bytes: BigInt(`0x${to}`) - at, advice });
    head = null;
  }
  return found;
}

/** A name that only the shipped runtime knows: nobody else is to look for it. */
const FOREIGN_FUNCTIONS: string = 'bun:ffi';

/**
 * Collects garbage and gives back what is only a copy of a file. True when it was done: on the shipped runtime,
 * on Linux with glibc. Never throws: it saves memory, and nothing else depends on it.
 */
export async function giveBack(): Promise<boolean> {
  const { Bun } = globalThis as Runtime;
  if (Bun === undefined) return false;
  try {
    Bun.gc(true);
    const { dlopen } = (await import(FOREIGN_FUNCTIONS)) as ForeignFunctions;
    const madvise = { args: ['u64', 'u64', 'i32'], returns: 'i32' };
    const { symbols } = dlopen('libc.so.6', { madvise });
    for (const { at, bytes, advice } of mappingsIn(readFileSync('/proc/self/smaps', 'utf8'))) {
      symbols.madvise(at, bytes, advice);
    }
    return true;
  } catch {
    return false;
  }
}

/**
 * Of the shipped executable more than half of what is resident is code that runs at the start, or in an
 * upgrade, and never at rest. This unmaps it soon after the start and every ten minutes; what is needed again
 * is mapped again. Keeps no process alive. Returns how to end it.
 */
export function keepSmall(): () => void {
  const go = (): void => void giveBack();
  const timers = [...FIRST_MS.map((ms) => setTimeout(go, ms)), setInterval(go, EVERY_MS)];
  for (const timer of timers) timer.unref();
  return () => {
    for (const timer of timers) clearTimeout(timer);
  };
}
