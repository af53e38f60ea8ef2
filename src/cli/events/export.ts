import { createReadStream } from 'node:fs';
import { appendFile, open, readFile } from 'node:fs/promises';
import { FleetError } from '../../core/kernel/index.js';
import { EventsVerifier, linesOfExport } from '../../core/seal/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { usageError, type Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showRows,
} from '../connection.js';
import { writeNew } from '../new-file.js';
import { type Column, facts } from '../output/index.js';
import { onceItMay } from '../patience.js';
import type { Terminal } from '../terminal.js';
import { whole } from '../values.js';
import { EventId, FILTER_OPTIONS, filtersOf, isFiltered } from './filters.js';

const LINE_FEED = 10;
const REDRAW_MS = 250;

/** So many events are through, redrawn in place for a person. */
function counterOf(terminal: Terminal, what: string) {
  let count = 0;
  let drawnAt = terminal.now();
  return {
    add: (events: number): void => {
      count += events;
      if (!terminal.isWatched || terminal.now() - drawnAt < REDRAW_MS) return;
      drawnAt = terminal.now();
      terminal.err(`\r\u001b[K${what}: ${count} events`);
    },
    end: (): number => {
      if (terminal.isWatched) terminal.err('\r\u001b[K');
      return count;
    },
  };
}

export const exportEvents: Command = {
  name: 'events export',
  summary: 'write events into a file (NDJSON), oldest first',
  operands: ['FILE'],
  options: {
    after: { value: 'N', help: 'events behind this id (default 0)' },
    through: { value: 'N', help: 'up to this id (default: the newest there is)' },
    plain: { help: 'events only, without what `bellwether events verify` needs' },
    ...FILTER_OPTIONS,
    ...MANAGER_OPTIONS,
  },
  notes: [
    'Without a filter the file can be verified: it holds a head and the seals of its segments, and begins where',
    'a segment does. Nothing is overwritten.',
  ],
  run: async (given, terminal) => {
    const filters = filtersOf(given);
    const isPlain = given.isSet('plain') || isFiltered(filters);
    const query = {
      after: given.read('after', EventId),
      through: given.read('through', EventId),
      proof: isPlain ? undefined : ('true' as const),
      ...filters,
    };
    const client = await connect(given, terminal);
    const path = given.operand(0);
    // Made by writeNew, so that a file that is there stays as it is.
    await writeNew(path, '', 0o600);
    const file = await open(path, 'a');
    const counter = counterOf(terminal, path);
    let lines = 0;
    try {
      const take = async (chunk: Uint8Array): Promise<void> => {
        let found = 0;
        for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) {
          found += 1;
        }
        counter.add(found);
        await file.writeFile(chunk);
      };
      await onceItMay(() => client.download('events.export', { query }, take), terminal);
      await file.sync();
    } finally {
      lines = counter.end();
      await file.close();
    }
    terminal.out(`wrote ${path}: ${lines} lines${isPlain ? '' : ', with proof'}\n`);
  },
};

/** `<last id> <hash>` a line, as it was kept after earlier verifications. */
async function keptIn(path: string): Promise<Map<number, string>> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  const kept = new Map<number, string>();
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const [, id, hash] = /^(\d{1,15}) ([0-9a-f]{64})$/.exec(line.trim()) ?? [];
    if (id === undefined || hash === undefined) {
      throw usageError(`${path} does not hold lines with an id and a hash`);
    }
    kept.set(Number(id), hash);
  }
  return kept;
}

export const verifyEvents: Command = {
  name: 'events verify',
  summary: 'check without a manager that an export is complete and unchanged',
  operands: ['FILE'],
  options: {
    kept: { value: 'FILE', help: 'hashes of earlier runs; the newest is added when all is well' },
    ...OUTPUT_OPTION,
  },
  notes: [
    'A reader who sees some groups proves that he has all of these. Events behind the last seal are counted as',
    'not proven yet. Keep the last hash where the manager cannot reach: a log that is written anew does',
    'not lead to it.',
  ],
  run: async (given, terminal) => {
    const path = given.operand(0);
    const keptPath = given.optional('kept');
    const kept = keptPath === undefined ? new Map<number, string>() : await keptIn(keptPath);
    const verifier = new EventsVerifier(kept);
    const counter = counterOf(terminal, path);
    try {
      for await (const line of linesOfExport(createReadStream(path))) {
        const taken = verifier.line(line);
        if (!taken.ok) throw new FleetError(taken.error.code, taken.error.message);
        counter.add(1);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new FleetError('events_verification_failed', error.message);
    } finally {
      counter.end();
    }
    const end = verifier.end();
    if (!end.ok) throw new FleetError(end.error.code, end.error.message);
    const { lastHash, sealedThrough } = end.value;
    if (keptPath !== undefined && lastHash !== '' && !kept.has(sealedThrough)) {
      await appendFile(keptPath, `${sealedThrough} ${lastHash}\n`, { mode: 0o600 });
    }
    show(given, terminal, end.value, (found) =>
      facts([
        ['complete', 'yes'],
        ['events', found.events],
        ['segments', found.segments],
        ['proven through', found.sealedThrough],
        ['not proven yet', found.unsealed],
        ['last hash', found.lastHash],
      ]),
    );
  },
};

const SEGMENT_COLUMNS: readonly Column<Answer<'events.segments'>['items'][number]>[] = [
  ['first', ({ seal }) => seal.firstId],
  ['last', ({ seal }) => seal.lastId],
  ['yours', ({ parts }) => parts.reduce((sum, { count }) => sum + count, 0)],
  ['sealed at', (segment) => segment.sealed_at, 'time'],
  ['events', ({ pruned }) => (pruned ? 'removed' : 'kept')],
  ['hash', ({ seal }) => seal.hash],
];

export const listSegments: Command = {
  name: 'events segments',
  summary: 'the seals of the event log',
  operands: [],
  options: { after: { value: 'N', help: 'segments behind this id (default 0)' }, ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const query = {
      after: given.read('after', EventId),
      limit: given.read('limit', whole(1, 200)),
    };
    const client = await connect(given, terminal);
    await showRows(given, terminal, {
      load: () => client.call('events.segments', { query }),
      columns: SEGMENT_COLUMNS,
      whenEmpty: 'nothing is sealed yet',
      after: ({ next_after: next, sealed_through: sealed, newest, oldest }) =>
        `(sealed through ${sealed}, kept from ${oldest} to ${newest}; go on with --after ${next})\n`,
    });
  },
};
