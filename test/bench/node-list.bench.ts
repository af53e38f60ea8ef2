import { describe, it } from 'vitest';
import { NodeSearch, type NodeFilter, type NodeOrder } from '../../src/server/fleet/node-search.js';
import { labelKeyOf, nameKeyOf, softwareOf } from '../../src/server/fleet/node-facts.js';
import { Nodes } from '../../src/server/fleet/index.js';
import { openDatabase } from '../../src/server/platform/database/index.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { aHost } from '../support/manager.js';
import { aService } from '../support/node-link.js';
import { compared } from './measure.js';

const NODES = 100_000;
const GROUPS = 50;
const ROUNDS = 300;

const ALL: NodeFilter = { groups: 'all', labels: [], software: null };
const BY_NAME: NodeOrder = { sort: 'name', order: 'asc' };
const versions = Array.from({ length: 7 }, (_, i) => `1.${i}.0`);
const softwareAt = (i: number): string =>
  softwareOf([{ product: 'edge', version: versions[i % versions.length] ?? '' }]);

const FILTERS: readonly (readonly [string, NodeFilter, NodeOrder])[] = [
  ['nothing, by name', ALL, BY_NAME],
  ['online, by name', { ...ALL, status: 'online' }, BY_NAME],
  ['failed', { ...ALL, badge: 'failed' }, { sort: 'enrolled_at', order: 'desc' }],
  ['text 99', { ...ALL, text: '99' }, BY_NAME],
  ['site=fra', { ...ALL, labels: [['site', 'fra']] }, BY_NAME],
  ['three versions', { ...ALL, software: [0, 1, 2].map(softwareAt) }, BY_NAME],
  [
    'twenty groups, online, text',
    {
      ...ALL,
      groups: Array.from({ length: 20 }, (_, i) => `grp_g${i + 10}00000`),
      status: 'online',
      text: 'edge-1',
    },
    BY_NAME,
  ],
];

describe('the list of nodes', () => {
  it('answers a filtered page of 100 000 nodes', { timeout: 600_000 }, async () => {
    const dir = makeTempDir();
    const database = await openDatabase({ url: null, dataDir: dir.path, log: silentLog });
    const nodes = new Nodes(database);
    await database.transaction(async (tx) => {
      for (let g = 0; g < GROUPS; g += 1) {
        await tx.run(
          `INSERT INTO node_groups (id, name, parent_id, path, created_at) VALUES (?, ?, 'grp_default', ?, 1)`,
          [`grp_g${g + 10}00000`, `g${g}`, `/grp_default/grp_g${g + 10}00000/`],
        );
      }
    });
    for (let from = 0; from < NODES; from += 5_000) {
      await database.transaction(async (tx) => {
        for (let i = from; i < from + 5_000; i += 1) {
          const id = `nod_${((i * 7_919) % 100_003).toString().padStart(12, '0')}`;
          const name = `edge-${i}`;
          const labels = { site: i % 20 === 0 ? 'fra' : 'muc', rack: `r${i % 500}` };
          const services = [aService({ version: versions[i % versions.length] ?? '' })];
          await tx.run(
            `INSERT INTO nodes (id, name, group_id, status, public_key, host, labels, capabilities, services,
               generation, enrolled_at, last_seen_at, name_key, software, label_key, upgrader, badge)
             VALUES (?, ?, ?, ?, 'k', ?, ?, '["upgrade"]', ?, 0, ?, 1, ?, ?, ?, 'agent', ?)`,
            [
              id,
              name,
              `grp_g${(i % GROUPS) + 10}00000`,
              i % 10 === 0 ? 'offline' : 'online',
              JSON.stringify({ ...aHost(name), labels }),
              JSON.stringify(labels),
              JSON.stringify(services),
              1_000_000 + i,
              nameKeyOf(name),
              softwareAt(i),
              labelKeyOf(labels),
              i % 33 === 0 ? 'failed' : 'updated',
            ],
          );
        }
      });
    }
    const search = new NodeSearch(database, nodes);
    const take = async (work: () => Promise<unknown>): Promise<readonly [number, number]> => {
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const startedAt = performance.now();
        await work();
        times.push(performance.now() - startedAt);
      }
      times.sort((a, b) => a - b);
      const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
      return [at(0.5), at(0.99)];
    };
    for (const [what, filter, order] of FILTERS) {
      const page = await take(() => search.page(filter, order, { after: null, limit: 51 }));
      const count = await take(() => search.count(filter));
      for (const [kind, [p50, p99]] of [
        ['page', page],
        ['count', count],
      ] as const) {
        compared(`100 000 nodes, ${what}: ${kind}`, {
          ...(kind === 'page' ? { row: 'node_list' } : {}),
          unit: 'ms',
          baseline: ['p50', p50],
          measured: ['p99', p99],
        });
      }
    }
    await database.close();
    dir.remove();
  });
});
