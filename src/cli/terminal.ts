/**
 * Everything of the world that a command may touch besides files and the manager; handed in, so that
 * a spec sees exactly what a person would.
 */
export interface Terminal {
  /** Results: standard output. */
  out(text: string): void;
  /** Progress, notes and errors: standard error. */
  err(text: string): void;
  /** True when a person watches standard error; then progress may redraw its line. */
  readonly isWatched: boolean;
  /** Asks a person for something that is not shown while it is typed; missing when nobody is there. */
  readonly ask?: (question: string) => Promise<string>;
  /** The size of the terminal that standard output goes to; missing when that is a file or a pipe. */
  readonly screen?: { columns(): number; rows(): number };
  /** All of standard input; missing when a person types there. */
  readonly input?: () => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  now(): number;
  sleep(ms: number): Promise<void>;
}

/** Bytes as a person says them: `512 B`, `1.4 MiB`. */
export function bytesInWords(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'] as const;
  let size = bytes;
  let unit: string = units[0];
  for (const next of units.slice(1)) {
    if (size < 1024) break;
    size /= 1024;
    unit = next;
  }
  return `${unit === 'B' ? size : size.toFixed(1)} ${unit}`;
}

/** Redraws at most this often: more flickers and costs time. */
const REDRAW_MS = 100;
/** Work that ends sooner shows nothing but its last line. */
const QUIET_MS = 1_000;

export interface Progress {
  /** So much of the whole is done. */
  at(done: number): void;
  /** Ends the line; `text` is what remains to be read. */
  done(text: string): void;
  /** Ends the line without a word, before an error is told. */
  stop(): void;
}

/**
 * A progress line on standard error: redrawn in place for a person, once at start and end otherwise.
 * `whole` is in bytes.
 */
export function progressOf(terminal: Terminal, what: string, whole: number): Progress {
  const startedAt = terminal.now();
  let drawnAt = startedAt + QUIET_MS - REDRAW_MS;
  let isDrawn = false;
  const clear = (): void => {
    if (isDrawn) terminal.err('\r\u001b[K');
    isDrawn = false;
  };
  return {
    at: (done) => {
      const now = terminal.now();
      if (!terminal.isWatched || now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      isDrawn = true;
      const percent = whole === 0 ? 100 : Math.floor((100 * done) / whole);
      terminal.err(`\r\u001b[K${what}: ${percent} % of ${bytesInWords(whole)}`);
    },
    done: (text) => {
      clear();
      terminal.err(`${text}\n`);
    },
    stop: clear,
  };
}
