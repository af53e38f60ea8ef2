import { open } from 'node:fs/promises';
import type { Command, OptionSpec } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { writeNew } from '../new-file.js';
import { facts } from '../output/index.js';
import { onceItMay } from '../patience.js';
import { Moment, oneOf, whole } from '../values.js';

const FORMATS = ['ndjson', 'json', 'csv'] as const;
const Entries = whole(0, Number.MAX_SAFE_INTEGER);

const FILTERS: Readonly<Record<string, OptionSpec>> = {
  action: { value: 'A', help: 'such as release.publish' },
  group: { value: 'ID', help: 'of this group and those below' },
  since: { value: 'TIME', help: 'from this moment on' },
  until: { value: 'TIME', help: 'before this moment' },
};

export const exportAudit: Command = {
  name: 'audit export',
  summary: 'write the audit log into a file, oldest entry first',
  operands: ['FILE'],
  options: {
    format: { value: 'FORM', help: `${FORMATS.join(', ')} (default ndjson)` },
    checkpoint: { value: 'FILE', help: 'make a checkpoint, keep it here, and end where it ends' },
    after: { value: 'N', help: 'entries behind this one (default 0)' },
    ...FILTERS,
    ...MANAGER_OPTIONS,
  },
  notes: [
    'NDJSON without filters, by a super admin, is what `bellwether audit verify` reads; give --checkpoint',
    'for it. Nothing is overwritten.',
  ],
  run: async (given, terminal) => {
    const query = {
      format: given.read('format', oneOf(FORMATS)),
      after: given.read('after', Entries),
      action: given.optional('action'),
      group_id: given.optional('group'),
      since: given.read('since', Moment),
      until: given.read('until', Moment),
    };
    const client = await connect(given, terminal);
    const kept = given.optional('checkpoint');
    const checkpoint = kept === undefined ? null : await client.call('audit.checkpoint');
    const path = given.operand(0);
    if (kept !== undefined && checkpoint !== null) await writeNew(kept, checkpoint.note, 0o644);
    // Made by writeNew, so that a file that is there stays as it is.
    await writeNew(path, '', 0o600);
    const file = await open(path, 'a');
    try {
      const through = checkpoint === null ? {} : { through: checkpoint.size };
      const input = { query: { ...query, ...through } };
      const take = (chunk: Uint8Array): Promise<void> => file.writeFile(chunk);
      await onceItMay(() => client.download('audit.export', input, take), terminal);
      await file.sync();
    } finally {
      await file.close();
    }
    const upTo = checkpoint === null ? '' : ` up to entry ${checkpoint.size}`;
    terminal.out(`wrote ${path}${upTo}\n`);
  },
};

export const makeCheckpoint: Command = {
  name: 'audit checkpoint',
  summary: 'sign the audit log as it is now, and print the checkpoint',
  operands: [],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: [
    'Keep it where the manager cannot reach: a history that is rewritten later will not fit it.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    show(given, terminal, await client.call('audit.checkpoint'), ({ note }) => note);
  },
};

export const showAuditKey: Command = {
  name: 'audit key',
  summary: 'print the public key of the checkpoints',
  operands: [],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    show(given, terminal, await client.call('audit.key'), (key) => `${key.verifier_key}\n`);
  },
};

export const proveConsistency: Command = {
  name: 'audit consistency',
  summary: 'fetch the proof that the log of TO entries holds that of FROM',
  operands: ['FROM', 'TO'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: ['With -o json it is the file that `bellwether audit compare --proof` reads.'],
  run: async (given, terminal) => {
    const [from, to] = [0, 1].map((at) => Entries.parse(given.operand(at))) as [number, number];
    const client = await connect(given, terminal);
    const proof = await client.call('audit.consistency', { query: { from, to } });
    show(given, terminal, proof, ({ path }) =>
      facts([
        ['from', from],
        ['to', to],
        ...path.map((hash, at): [string, string] => [`hash ${at + 1}`, hash]),
      ]),
    );
  },
};
