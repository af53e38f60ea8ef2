import { Channel, ProductName } from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import { connect, LIST_OPTIONS, showList } from '../connection.js';
import { type Column } from '../output/index.js';
import { oneOf } from '../values.js';

const State = oneOf(['draft', 'published', 'yanked']);

type Release = Answer<'releases.publish'>;

const COLUMNS: readonly Column<Release>[] = [
  ['product', (release) => release.product],
  ['version', (release) => release.version],
  ['channel', (release) => release.channel],
  ['sequence', (release) => release.sequence],
  ['state', (release) => release.state, 'state'],
  [
    'hosts',
    ({ artifacts }) => artifacts.map((a) => `${a.os}/${a.arch}/${a.variant}`).join(' ') || 'image',
  ],
  ['published', (release) => release.published_at, 'time'],
  ['id', (release) => release.id, 'wide'],
];

export const list: Command = {
  name: 'release list',
  summary: 'releases, newest first',
  operands: [],
  options: {
    product: { value: 'P', help: 'this product only' },
    channel: { value: 'C', help: 'this channel only' },
    state: { value: 'S', help: 'draft, published or yanked only' },
    ...LIST_OPTIONS,
    limit: { value: 'N', help: 'rows at most (default 10)' },
  },
  run: async (given, terminal) => {
    const filter = {
      product: given.read('product', ProductName),
      channel: given.read('channel', Channel),
      state: given.read('state', State),
    };
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (page) => client.call('releases.list', { query: { ...filter, ...page } }),
      columns: COLUMNS,
      whenEmpty: 'no releases',
      rows: 10,
    });
  },
};
