#!/usr/bin/env node
import { setTimeout as sleep } from 'node:timers/promises';
import { Writable } from 'node:stream';
import { createInterface } from 'node:readline/promises';
import { runProgram } from './program.js';

// A reader that stops early (`| head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

/** The question is shown, what is typed is not. */
async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

process.exitCode = await runProgram(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isWatched: process.stderr.isTTY,
  ...(process.stdin.isTTY ? { ask } : {}),
  env: process.env,
  now: () => Date.now(),
  sleep: (ms) => sleep(ms),
});
