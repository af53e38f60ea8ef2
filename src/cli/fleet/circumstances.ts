import type { Answer } from '../../protocol/api/index.js';
import { usageError, type Command } from '../command.js';
import {
  connect,
  ITEMS_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showRows,
} from '../connection.js';
import { type Block, type Column, facts } from '../output/index.js';
import { Moment, oneOf } from '../values.js';

type Switch = Answer<'groups.switch'>;
type Freeze = Answer<'groups.freeze'>;

const MODES = ['enabled', 'suspended', 'disabled'] as const;

const switchText = (found: Switch): Block =>
  facts([
    ['group', found.group_id],
    ['upgrades', found.effective_mode],
    ['set here', found.set_by === null ? null : found.mode],
    ['note', found.note === '' ? null : found.note],
    ['by', found.set_by],
    ['since', found.set_at],
  ]);

export const switchGroup: Command = {
  name: 'groups switch',
  summary: 'show or set whether upgrades are enabled for a group and below',
  operands: ['ID'],
  options: {
    set: { value: 'MODE', help: MODES.join(', ') },
    note: { value: 'TEXT', help: 'why, for those who find it (with --set)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'suspended: rollouts may be made, and nothing new starts. disabled: none may be made either.',
    'What holds for a group is the strictest of its own switch and those above it.',
  ],
  run: async (given, terminal) => {
    const params = { id: given.operand(0) };
    const mode = given.read('set', oneOf(MODES));
    const note = given.optional('note');
    if (mode === undefined && note !== undefined) {
      throw usageError('--note goes with --set', 'See `bellwether groups switch --help`.');
    }
    const client = await connect(given, terminal);
    const found =
      mode === undefined
        ? await client.call('groups.switch', { params })
        : await client.call('groups.set_switch', {
            params,
            body: { mode, ...(note === undefined ? {} : { note }) },
          });
    show(given, terminal, found, switchText);
  },
};

export const FREEZE_COLUMNS: readonly Column<Freeze>[] = [
  ['id', (freeze) => freeze.id],
  ['name', (freeze) => freeze.name],
  ['from', (freeze) => freeze.from],
  ['to', (freeze) => freeze.to],
  ['by', (freeze) => freeze.created_by],
];

export const listFreezes: Command = {
  name: 'groups freezes',
  summary: 'times in which nothing new starts in a group',
  operands: ['ID'],
  options: ITEMS_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    await showRows(given, terminal, {
      load: () => client.call('groups.freezes', { params }),
      columns: FREEZE_COLUMNS,
      whenEmpty: 'no freezes',
    });
  },
};

export const freezeGroup: Command = {
  name: 'groups freeze',
  summary: 'let nothing new start in a group and below for a time',
  operands: ['ID'],
  options: {
    name: { value: 'NAME', help: 'what people call it', isRequired: true },
    from: { value: 'T', help: 'its first moment, such as 2026-12-20T00:00:00Z', isRequired: true },
    to: { value: 'T', help: 'the moment at which it is over', isRequired: true },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const body = {
      name: given.text('name'),
      from: given.need('from', Moment),
      to: given.need('to', Moment),
    };
    const client = await connect(given, terminal);
    const made = await client.call('groups.freeze', { params: { id: given.operand(0) }, body });
    show(given, terminal, made, ({ id }) => `${id}\n`);
  },
};

export const thawGroup: Command = {
  name: 'groups thaw',
  summary: 'take a freeze away',
  operands: ['ID', 'FREEZE'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const [id, freeze] = [given.operand(0), given.operand(1)];
    await client.call('groups.thaw', { params: { id, freeze } });
    terminal.out(`took ${freeze} away\n`);
  },
};
