import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import type { Command } from '../command.js';
import { connect, SHOW_OPTIONS, showOne } from '../connection.js';
import { table, type Block, type Column } from '../output/index.js';

const ROOT_GROUP = 'grp_default';

/** Versions of one product that are told apart; a fleet with more has other worries. */
const VERSIONS_MAX = 500;

interface VersionRow {
  readonly product: string;
  readonly version: string | null;
  readonly nodes: number;
  readonly percent: number;
  /** The newest that these nodes could be brought to; null when there is none. */
  readonly newest: string | null;
}
interface Report {
  readonly group_id: string;
  readonly upgraders: Answer<'fleet.summary'>['by_upgrader'];
  readonly versions: readonly VersionRow[];
}

async function reportOf(client: Client, groupId: string): Promise<Report> {
  const [counts, running] = await Promise.all([
    client.call('fleet.summary', { query: { group_id: groupId } }),
    client.call('groups.upgrades', { params: { id: groupId }, query: { limit: VERSIONS_MAX } }),
  ]);
  const versions = running.items.flatMap(({ product, nodes: all, running: found, upgrades }) =>
    found.map(({ version, nodes }) => ({
      product,
      version,
      nodes,
      percent: all === 0 ? 0 : Math.round((1_000 * nodes) / all) / 10,
      newest: upgrades[0]?.version ?? null,
    })),
  );
  return { group_id: groupId, upgraders: counts.by_upgrader, versions };
}

const VERSION_COLUMNS: readonly Column<VersionRow>[] = [
  ['product', (row) => row.product],
  ['version', (row) => row.version],
  ['nodes', (row) => row.nodes],
  ['share', (row) => `${row.percent} %`],
  ['newest offered', (row) => row.newest],
];
const UPGRADER_COLUMNS: readonly Column<readonly [string, number]>[] = [
  ['upgraded by', ([upgrader]) => (upgrader === 'none' ? 'none (unmanaged)' : upgrader)],
  ['nodes', ([, nodes]) => nodes],
];

const reportText = (report: Report): readonly Block[] => [
  table(report.versions, VERSION_COLUMNS, 'no services'),
  table(Object.entries(report.upgraders), UPGRADER_COLUMNS, ''),
];

export const report: Command = {
  name: 'report',
  summary: 'what runs in the fleet: versions by product, and who upgrades the nodes',
  operands: [],
  options: {
    group: { value: 'ID', help: `of this group and those below (default ${ROOT_GROUP})` },
    ...SHOW_OPTIONS,
  },
  notes: ['Of one rollout, ring by ring: `bellwether rollouts report ID`.'],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const groupId = given.optional('group') ?? ROOT_GROUP;
    await showOne(given, terminal, () => reportOf(client, groupId), reportText);
  },
};
