import { describe, expect, it } from 'vitest';
import { describeOnBothDatabases } from '../../../test/support/databases.js';
import { aHost, comes, isGone } from '../../../test/support/manager.js';
import { aHello, aService } from '../../../test/support/node-link.js';
import type { ServiceReport } from '../../protocol/node/index.js';
import type { Database } from '../platform/database/index.js';
import { fillFacts } from './facts.store.js';
import { badgeOf, softwareOf, upgraderOf } from './node-facts.js';
import { NodeSearch, type NodeFilter, type NodeOrder, type NodePlace } from './node-search.js';
import { Nodes } from './nodes.store.js';
import { SoftwareBook, type SoftwareWish } from './software-book.js';

const OLD = '1.0.0';
const NEW = '1.1.0';
const failed: ServiceReport['outcome'] = {
  command_id: 'cmd_000001',
  result: 'failed',
  version: NEW,
  error_code: 'upgrade_unhealthy',
  at: '2026-11-20T08:00:00Z',
};
const ALL: NodeFilter = { groups: 'all', labels: [], software: null };
const BY_NAME: NodeOrder = { sort: 'name', order: 'asc' };

/** Forty nodes: a quarter in fra, a third on the old version, one failed, one away, one that polls. */
async function aFleet(database: Database) {
  const nodes = new Nodes(database);
  const search = new NodeSearch(database, nodes);
  const software = new SoftwareBook(database);
  software.useSupport(async (versions) =>
    versions.map(({ product, version }) => ({
      service: product,
      product,
      version,
      channel: 'stable' as const,
      newest: product === 'edge' ? NEW : null,
      window: 'in_window' as const,
    })),
  );
  await database.transaction(async (tx) => {
    for (let i = 0; i < 40; i += 1) {
      const id = `nod_${String(i).padStart(8, '0')}`;
      const host = {
        ...aHost(),
        labels: { site: i % 4 === 0 ? 'fra' : 'muc', rack: `r_${i % 10}` },
      };
      const now = 1_000 + (i % 3);
      const name = i === 7 ? 'Ärger 100%_' : `edge-${i % 20}`;
      const groupId = 'grp_default';
      await nodes.create(tx, { id, name, groupId, publicKey: 'k', host, now });
      const service = aService({ version: i % 3 === 0 ? OLD : NEW });
      const services = i === 5 ? [{ ...service, outcome: failed }] : [service];
      const transport = i === 6 ? 'poll' : 'socket';
      const hello = aHello({ host, services });
      await comes(tx, database, id, { hello, now: 3_000 + i, transport });
      if (i === 8) await isGone(tx, id, 3_000 + i);
    }
  });
  const idsOf = async (filter: Partial<NodeFilter>, order = BY_NAME): Promise<string[]> => {
    const page = await search.page({ ...ALL, ...filter }, order, { after: null, limit: 500 });
    expect(await search.count({ ...ALL, ...filter })).toBe(page.nodes.length);
    return page.nodes.map(({ id }) => id);
  };
  const running = async (wish: SoftwareWish): Promise<number> =>
    (await idsOf({ software: await software.fitting(wish) })).length;
  return { nodes, search, software, idsOf, running, database };
}

describeOnBothDatabases('lists of nodes', (openTestDatabase) => {
  it('are filtered by everything that a person asks for, and counted', async () => {
    const { idsOf, running } = await aFleet(await openTestDatabase());
    expect(await idsOf({})).toHaveLength(40);
    expect(await idsOf({ labels: [['site', 'fra']] })).toHaveLength(10);
    const both = [
      ['site', 'fra'],
      ['rack', 'r_2'],
    ] as const;
    expect(await idsOf({ labels: both })).toHaveLength(2);
    expect(await idsOf({ labels: [['site', 'fr']] })).toEqual([]);
    expect(await idsOf({ badge: 'failed' })).toEqual(['nod_00000005']);
    expect(await idsOf({ status: 'offline' })).toEqual(['nod_00000008']);
    expect(await idsOf({ status: 'pending' })).toEqual([]);
    expect(await idsOf({ upgrader: 'poll' })).toEqual(['nod_00000006']);
    expect(await idsOf({ upgrader: 'agent' })).toHaveLength(39);
    expect(await idsOf({ text: 'ÄRGER 100%_' })).toEqual(['nod_00000007']);
    expect(await idsOf({ text: '%' })).toEqual(['nod_00000007']);
    expect(await idsOf({ text: 'nod_00000009' })).toEqual(['nod_00000009']);
    expect(await idsOf({ groups: [] })).toEqual([]);
    expect(await idsOf({ groups: ['grp_other00'] })).toEqual([]);
    expect(await running({ product: 'edge', version: OLD })).toBe(14);
    expect(await running({ version: NEW })).toBe(26);
    expect(await running({ product: 'proxy' })).toBe(0);
    expect(await running({ outdated: true })).toBe(14);
    expect(await running({ outdated: false })).toBe(26);
    expect(await running({ product: 'edge', below: NEW })).toBe(14);
    expect(await running({ below: OLD })).toBe(0);
    expect(await running({})).toBe(40);
  });

  it.each(['enrolled_at', 'name', 'status', 'upgrade', 'upgrader'] as const)(
    'come in pages sorted by %s, each node once, both ways',
    async (sort) => {
      const { search, idsOf } = await aFleet(await openTestDatabase());
      for (const order of ['asc', 'desc'] as const) {
        const seen: string[] = [];
        let after: NodePlace | null = null;
        do {
          const page = await search.page(ALL, { sort, order }, { after, limit: 7 });
          seen.push(...page.nodes.map(({ id }) => id));
          after = page.places.get(page.nodes.at(-1)?.id ?? '') ?? null;
        } while (after !== null);
        expect(new Set(seen).size).toBe(40);
        // Unfiltered and filtered they walk different indexes; the order is the same.
        expect(seen).toEqual(await idsOf({ groups: ['grp_default'] }, { sort, order }));
      }
    },
  );

  it('sort by when a node was seen last among those that are away only', async () => {
    const { search, idsOf } = await aFleet(await openTestDatabase());
    const order = { sort: 'last_seen_at', order: 'asc' } as const;
    expect(await idsOf({ isGone: true }, order)).toEqual(['nod_00000008']);
    await expect(search.page(ALL, order, { after: null, limit: 5 })).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it('follow what a node tells later, and what an older manager stored', async () => {
    const { nodes, idsOf, running, database } = await aFleet(await openTestDatabase());
    const nodeId = 'nod_00000000';
    const services = JSON.stringify([{ ...aService({ version: '3.0.0' }), phase: 'fetching' }]);
    await database.transaction((tx) => nodes.recordServices(tx, [{ nodeId, services, at: 9_000 }]));
    expect(await running({ version: '3.0.0' })).toBe(1);
    expect(await idsOf({ badge: 'upgrading' })).toEqual([nodeId]);
    await database.transaction(async (tx) => {
      await tx.run(`UPDATE nodes SET software = NULL, name_key = '', label_key = ''`);
    });
    await fillFacts(database);
    expect(await running({ version: '3.0.0' })).toBe(1);
    expect(await idsOf({ labels: [['site', 'fra']], text: 'edge' })).toHaveLength(10);
  });
});

describe('the facts of a node', () => {
  it('stand for the same versions in whatever order they are told', () => {
    const one = { product: 'edge', version: OLD };
    const other = { product: 'proxy', version: null };
    expect(softwareOf([one, other])).toBe(softwareOf([other, one, one]));
    expect(softwareOf([one])).not.toBe(softwareOf([one, other]));
    expect(softwareOf([])).toBe('');
  });

  it('put the newest outcome on the badge, and what is going on before it', () => {
    const good = { ...failed, result: 'succeeded' as const, at: '2026-11-20T09:00:00Z' };
    const idle = { phase: 'idle' as const };
    expect(badgeOf([])).toEqual({ state: 'none', code: null });
    expect(badgeOf([{ ...idle, outcome: failed }])).toEqual({
      state: 'failed',
      code: 'upgrade_unhealthy',
    });
    expect(
      badgeOf([
        { ...idle, outcome: failed },
        { ...idle, outcome: good },
      ]).state,
    ).toBe('updated');
    expect(badgeOf([{ phase: 'swapping', outcome: failed }]).state).toBe('upgrading');
    expect(badgeOf([{ ...idle, outcome: { ...failed, result: 'withdrawn' } }]).state).toBe('none');
  });

  it('name who upgrades it', () => {
    expect(upgraderOf([], 'socket')).toBe('none');
    expect(upgraderOf(['upgrade'], 'socket')).toBe('agent');
    expect(upgraderOf(['upgrade'], 'poll')).toBe('poll');
    expect(upgraderOf(['upgrade', 'kubernetes_operator'], 'poll')).toBe('kubernetes');
  });
});
