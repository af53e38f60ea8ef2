import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import type { Command } from '../command.js';
import { connect, SHOW_OPTIONS, showOne } from '../connection.js';
import { facts, table, type Block, type Column } from '../output/index.js';

type Rollout = Answer<'rollouts.list'>['items'][number];
type Alert = Answer<'alerts.list'>['items'][number];
type Health = Answer<'health.live'>;
type Counts = Answer<'fleet.summary'>;

/** So many of each are shown; the lists have the rest. */
const SHOWN = 10;
const ACTIVE = ['paused', 'in_progress', 'pending'] as const;

/** Null where the caller may not look, or where it is not for programs. */
interface Status {
  readonly manager: Health;
  readonly nodes: Counts | null;
  readonly rollouts: readonly Rollout[] | null;
  readonly alerts: readonly Alert[] | null;
}

const NOT_FOR_ME: ReadonlySet<string> = new Set(['insufficient_role', 'not_found']);

/** What a token may not see is left out; whatever else goes wrong is thrown. */
async function ifAllowed<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FleetError && NOT_FOR_ME.has(error.code)) return null;
    throw error;
  }
}

async function activeRollouts(client: Client): Promise<Rollout[]> {
  const lists = await Promise.all(
    ACTIVE.map((status) => client.call('rollouts.list', { query: { status, limit: SHOWN } })),
  );
  return lists.flatMap(({ items }) => items).slice(0, SHOWN);
}

async function statusOf(client: Client): Promise<Status> {
  const manager = await client.call('health.live');
  const [nodes, rollouts, alerts] = await Promise.all([
    ifAllowed(client.call('fleet.summary')),
    ifAllowed(activeRollouts(client)),
    ifAllowed(client.call('alerts.list', { query: { state: 'raised', limit: SHOWN } })),
  ]);
  return { manager, nodes, rollouts, alerts: alerts?.items ?? null };
}

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ') || 'none';

const nodesText = (nodes: Counts | null): string =>
  nodes === null ? 'not for you to see' : `${nodes.nodes} (${counted(nodes.by_status)})`;

const openWave = ({ waves }: Rollout): string | null => {
  const wave = waves.find(({ status }) => status === 'open' || status === 'settling');
  const next = wave ?? waves.find(({ status }) => status === 'pending');
  if (next === undefined) return null;
  return `${next.index + 1}/${waves.length} ${next.status}: ${next.reason}`;
};

const done = ({ waves }: Rollout): string => {
  const all = waves.reduce((sum, { size }) => sum + size, 0);
  const good = waves.reduce((sum, { counts }) => sum + (counts.succeeded ?? 0), 0);
  return `${good}/${all}`;
};

const ROLLOUT_COLUMNS: readonly Column<Rollout>[] = [
  ['rollout', (rollout) => rollout.id],
  ['release', (rollout) => `${rollout.product} ${rollout.version}`],
  ['status', (rollout) => rollout.status, 'state'],
  ['reason', (rollout) => rollout.reason],
  ['done', done],
  ['wave', openWave],
  ['since', (rollout) => rollout.created_at, 'time'],
];
const ALERT_COLUMNS: readonly Column<Alert>[] = [
  ['alert', (alert) => alert.id],
  ['raised', (alert) => alert.raised_at, 'time'],
  ['severity', (alert) => alert.severity, 'state'],
  ['rule', (alert) => alert.rule],
  ['message', (alert) => alert.message],
];

const statusText = ({ manager, nodes, rollouts, alerts }: Status): readonly Block[] => [
  facts([
    ['manager', manager.version],
    ['status', manager.status],
    ['database', manager.database],
    ['links', manager.links],
    ['nodes', nodesText(nodes)],
    ['upgraded by', nodes === null ? null : counted(nodes.by_upgrader)],
  ]),
  ...(rollouts === null ? [] : [table(rollouts, ROLLOUT_COLUMNS, 'no active rollouts')]),
  ...(alerts === null ? [] : [table(alerts, ALERT_COLUMNS, 'no alerts')]),
];

export const status: Command = {
  name: 'status',
  summary: 'the manager and the fleet on one screen',
  operands: [],
  options: SHOW_OPTIONS,
  notes: ['What your token may not see is left out.'],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showOne(given, terminal, () => statusOf(client), statusText);
  },
};
