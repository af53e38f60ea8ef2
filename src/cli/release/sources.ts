import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  connect,
  ITEMS_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showRows,
} from '../connection.js';
import { type Column, plain } from '../output/index.js';

type Source = Answer<'sources.refresh'>;

/** How often it is asked whether a look is over. */
const POLL_MS = 2_000;

const COLUMNS: readonly Column<Source>[] = [
  ['name', ({ name }) => name],
  ['kind', ({ kind }) => kind],
  ['location', ({ location }) => location],
  ['last look', ({ last_result: last }) => last?.at ?? null, 'time'],
  ['ok', ({ last_result: last }) => (last === null ? null : last.ok ? 'yes' : 'no')],
  ['result', ({ last_result: last }) => last?.message ?? null],
  ['next look', ({ next_at: at, refreshing }) => (refreshing ? 'now' : at), 'time'],
];

export const listSources: Command = {
  name: 'sources list',
  summary: 'where the manager pulls releases from',
  operands: [],
  options: ITEMS_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showRows(given, terminal, {
      load: () => client.call('sources.list'),
      columns: COLUMNS,
      whenEmpty: 'no sources',
    });
  },
};

function resultText({ last_result: last }: Source): string {
  if (last === null) return 'no result yet\n';
  const lines = [
    last.message,
    ...last.published.map((one) => `published ${one}`),
    ...last.refused.map(({ release, code, message }) => `refused ${release}: ${message} [${code}]`),
  ];
  return lines.map((line) => `${plain(line)}\n`).join('');
}

export const refreshSource: Command = {
  name: 'sources refresh',
  summary: 'look at a source now',
  operands: ['NAME'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const name = given.operand(0);
    let source = await client.call('sources.refresh', { params: { name } });
    while (source.refreshing) {
      await terminal.sleep(POLL_MS);
      const { items } = await client.call('sources.list');
      source = items.find((one) => one.name === name) ?? { ...source, refreshing: false };
    }
    if (source.last_result?.ok === false) {
      throw new FleetError('release_source_failed', source.last_result.message);
    }
    show(given, terminal, source, resultText);
  },
};
