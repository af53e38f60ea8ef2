import type { Terminal } from '../../src/cli/terminal.js';

/** A terminal that remembers what was written to it. */
export interface RecordingTerminal extends Terminal {
  outText(): string;
  errText(): string;
}

/** The terminal in memory, for specs: nobody watches it, and it does not sleep longer than a moment. */
export function recordingTerminal(
  env: Readonly<Record<string, string>> = {},
  change: Partial<Terminal> = {},
): RecordingTerminal {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    isWatched: false,
    env,
    now: () => Date.now(),
    sleep: () => new Promise((resolve) => setTimeout(resolve, 10)),
    ...change,
    outText: () => out.join(''),
    errText: () => err.join(''),
  };
}
