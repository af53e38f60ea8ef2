#!/usr/bin/env node
import { setTimeout as sleep } from 'node:timers/promises';
import { Writable } from 'node:stream';
import { createInterface } from 'node:readline/promises';
import { FleetError } from '../core/kernel/index.js';
import { runProgram } from './program.js';

// A reader that stops early (`| head`) is no failure of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

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

/** More than any file that is piped in has. */
const INPUT_BYTES_MAX = 16 * 1024 * 1024;

async function input(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > INPUT_BYTES_MAX) {
      throw new FleetError('local_file_failed', 'standard input is larger than 16 MiB');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const size = (): { columns: number; rows: number } => ({
  columns: process.stdout.columns || 80,
  rows: process.stdout.rows || 24,
});

const words = process.argv.slice(2);
const code = await runProgram(words, {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isWatched: process.stderr.isTTY,
  ...(process.stdin.isTTY ? { ask } : { input }),
  ...(process.stdout.isTTY
    ? { screen: { columns: () => size().columns, rows: () => size().rows } }
    : {}),
  env: process.env,
  now: () => Date.now(),
  sleep: (ms) => sleep(ms),
});

if (words[0] === '__complete') {
  // Whoever pressed the tab key does not wait for a question that nobody answers.
  process.stdout.write('', () => process.exit(code));
} else {
  process.exitCode = code;
}
