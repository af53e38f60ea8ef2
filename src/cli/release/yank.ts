import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { type Column, table } from '../output/index.js';
import { bytesInWords } from '../terminal.js';
import { idOf, REFERENCE_NOTE } from './reference.js';

export const yank: Command = {
  name: 'release yank',
  summary: 'take a version back on every channel, for good',
  operands: ['REF'],
  options: {
    reason: { value: 'TEXT', help: 'why; everybody who meets it reads this', isRequired: true },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    REFERENCE_NOTE,
    'Nodes that run it go on running it: bring them to another version, or revert their rollout.',
  ],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const id = await idOf(given.operand(0), client);
    const body = { reason: given.text('reason') };
    const release = await client.call('releases.yank', { params: { id }, body });
    show(given, terminal, release, ({ product, version }) => `yanked ${product} ${version}\n`);
  },
};

type Blob = { readonly sha256: string; readonly size: number; readonly stored_at: string };

const COLUMNS: readonly Column<Blob>[] = [
  ['sha256', ({ sha256 }) => sha256],
  ['size', ({ size }) => bytesInWords(size)],
  ['stored', ({ stored_at: at }) => at, 'time'],
];

export const collect: Command = {
  name: 'release collect',
  summary: 'artifacts in the manager that nothing needs any more',
  operands: [],
  options: {
    remove: { help: 'remove them; without it they are only shown' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: ['The manager does the same by itself, once an hour.'],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const body = { dry_run: !given.isSet('remove') };
    const answer = await client.call('releases.collect', { body });
    show(given, terminal, answer, ({ blobs, bytes, more, dry_run: isDry }) => {
      const what = `${blobs.length} artifact(s), ${bytesInWords(bytes)}`;
      const rest = more ? '; there are more' : '';
      const last =
        blobs.length === 0 ? '' : `${isDry ? 'not needed' : 'removed'}: ${what}${rest}\n`;
      return [table(blobs, COLUMNS, 'every artifact is needed'), last];
    });
  },
};
