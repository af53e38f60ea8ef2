import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import type { Command } from '../command.js';
import {
  connect,
  ITEMS_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  SHOW_OPTIONS,
  showOne,
  showRows,
} from '../connection.js';
import { facts, plain, table, type Column } from '../output/index.js';
import { versionsText } from './report.js';
import { WAVE_COLUMNS, type Rollout } from './rollout-text.js';

type Ring = Answer<'rollouts.report'>['rings'][number] & {
  readonly rollout_id: string;
  readonly release: string;
};

/** Rollouts at once whose rings are asked for: more are listed with `rollouts list`. */
const ROLLOUTS_MAX = 50;
const ACTIVE = ['in_progress', 'paused', 'pending'] as const;

async function ringsOf(client: Client, rolloutId: string, release: string): Promise<Ring[]> {
  const { rings } = await client.call('rollouts.report', { params: { id: rolloutId } });
  return rings.map((ring) => ({ ...ring, rollout_id: rolloutId, release }));
}

async function activeRings(client: Client): Promise<Ring[]> {
  const rings: Ring[] = [];
  for (const status of ACTIVE) {
    const query = { status, limit: ROLLOUTS_MAX };
    const { items } = await client.call('rollouts.list', { query });
    for (const { id, product, version } of items) {
      rings.push(...(await ringsOf(client, id, `${product} ${version}`)));
    }
  }
  return rings;
}

async function ringsOfOne(client: Client, id: string): Promise<Ring[]> {
  const { product, version } = await client.call('rollouts.show', { params: { id } });
  return ringsOf(client, id, `${product} ${version}`);
}

const COLUMNS: readonly Column<Ring>[] = [
  ['rollout', (ring) => ring.rollout_id],
  ['release', (ring) => ring.release],
  ['ring', (ring) => ring.ring],
  ['state', (ring) => ring.state, 'state'],
  ['reason', (ring) => ring.reason],
  ['started', (ring) => ring.started_at, 'time'],
  ['up to date', (ring) => `${ring.up_to_date_count}/${ring.initial_count}`],
  ['failed', (ring) => ring.failed_count],
  ['until', (ring) => ring.until, 'time'],
  ['present', (ring) => ring.present_count, 'wide'],
  ['versions', versionsText, 'wide'],
];

export const listRings: Command = {
  name: 'rings list',
  summary: 'the rings of every active rollout, or of one',
  operands: [],
  options: {
    rollout: { value: 'ID', help: 'of this rollout, active or not' },
    ...ITEMS_OPTIONS,
  },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const id = given.optional('rollout');
    await showRows(given, terminal, {
      load: async () => ({
        items: await (id === undefined ? activeRings(client) : ringsOfOne(client, id)),
      }),
      columns: COLUMNS,
      whenEmpty: 'no rings: no rollout is active',
    });
  },
};

type Wave = Rollout['waves'][number];

const wavesOf = ({ waves, id }: Rollout, ring: string): readonly Wave[] => {
  const found = waves.filter((wave) => wave.ring === ring);
  if (found.length > 0) return found;
  const known = [...new Set(waves.map((wave) => wave.ring))].join(', ');
  throw new FleetError('not_found', `${id} has no ring ${ring}`, {
    context: { fix: `It has ${plain(known)}.` },
  });
};

export const showRing: Command = {
  name: 'rings show',
  summary: 'one ring of a rollout with its waves',
  operands: ['ROLLOUT', 'RING'],
  options: SHOW_OPTIONS,
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const name = given.operand(1);
    const load = async () => {
      const rollout = await client.call('rollouts.show', { params });
      const { rings } = await client.call('rollouts.report', { params });
      const waves = wavesOf(rollout, name);
      return { rollout_id: rollout.id, ring: rings.find(({ ring }) => ring === name), waves };
    };
    await showOne(given, terminal, load, ({ rollout_id: id, ring, waves }) => [
      facts([
        ['rollout', id],
        ['ring', name],
        ['state', ring?.state ?? null],
        ['reason', ring?.reason ?? null],
        ['started', ring?.started_at ?? null],
        ['versions', ring === undefined ? null : versionsText(ring)],
      ]),
      table(waves, WAVE_COLUMNS, 'no waves'),
    ]);
  },
};

export const startRing: Command = {
  name: 'rings start',
  summary: 'start the next wave of a ring now, past its order, window and wait',
  operands: ['ROLLOUT', 'RING'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  notes: ['The same as `rollouts start-wave` for the first wave of the ring that has not begun.'],
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const waves = wavesOf(await client.call('rollouts.show', { params }), given.operand(1));
    const next = waves.find(({ status }) => status === 'pending');
    if (next === undefined) {
      throw new FleetError('conflict', `every wave of ring ${given.operand(1)} has begun`, {
        context: { fix: 'See `bellwether rings show`.' },
      });
    }
    const started = await client.call('rollouts.start_wave', {
      params,
      body: { wave: next.index },
    });
    show(given, terminal, started, ({ id, waves: now }) => {
      const wave = now[next.index];
      return `${id}: wave ${next.index + 1} is ${wave?.status ?? '-'} (${wave?.reason ?? '-'})\n`;
    });
  },
};
