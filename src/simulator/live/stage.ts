import { Version } from '../../core/release/index.js';
import type { InventoryGroup, InventoryNode } from './inventory.js';
import { groupsInOrder } from './inventory.js';
import { enrollAll, type Newcomer } from './enroll.js';
import { readIdentities, writeIdentities, type Identity } from './identities.js';
import type { NodeSeed } from './orders.js';
import type { Client } from './parts.js';
import type { Stands } from './plan.js';
import type { Fault } from './scenario.js';

const ROOT_GROUP = 'grp_default';
/** What nodes run that were not copied from an inventory. */
export const FIRST_VERSION = Version.parse('1.0.0');

export interface Fleet {
  readonly seeds: readonly NodeSeed[];
  readonly groupId: string;
  readonly stands: Stands;
}

export interface Wanted {
  readonly client: Client;
  readonly origin: string;
  readonly faults: readonly (readonly Fault[])[];
  readonly onProgress: (done: number) => void;
}

const seedOf = (identity: Identity, rest: Omit<NodeSeed, 'id' | 'name' | 'key'>): NodeSeed => ({
  ...identity,
  ...rest,
});

/** So many nodes that differ in nothing, in a group of their own; out of a file when there is one. */
export async function makeFleet(
  wanted: Wanted & {
    readonly count: number;
    readonly product: string;
    readonly group: string | null;
    readonly file: string | null;
    readonly name: string;
  },
): Promise<Fleet> {
  const { client, origin, count, product, file } = wanted;
  const kept = file === null ? null : await readIdentities(file, origin);
  const groupId =
    kept?.group_id ?? wanted.group ?? (await makeGroup(client, wanted.name, ROOT_GROUP));
  const missing = count - (kept?.nodes.length ?? 0);
  const host = { os: 'linux', arch: 'x64', labels: { simulated: 'yes' } } as const;
  const newcomers = Array.from({ length: Math.max(0, missing) }, (_, at): Newcomer => {
    const number = (kept?.nodes.length ?? 0) + at + 1;
    return { name: `sim-${String(number).padStart(5, '0')}`, groupId, host };
  });
  const made = await enrollAll(client, origin, newcomers, wanted.onProgress);
  const identities = [...(kept?.nodes ?? []), ...made];
  if (file !== null && made.length > 0) {
    const schema = 'bellwether.simulated-nodes.v1';
    await writeIdentities(file, { schema, manager: origin, group_id: groupId, nodes: identities });
  }
  const services = [{ name: product, product, variant: 'default', version: FIRST_VERSION }];
  const seeds = identities
    .slice(0, count)
    .map((identity, index) =>
      seedOf(identity, { index, ...host, services, faults: wanted.faults[index] ?? [] }),
    );
  return { seeds, groupId, stands: { groups: new Map(), nodes: new Map() } };
}

/** A copy of an inventory: its groups, and in them its nodes with labels, hosts and versions. */
export async function copyInventory(
  wanted: Wanted & {
    readonly nodes: readonly InventoryNode[];
    readonly groups: readonly InventoryGroup[];
  },
): Promise<Fleet> {
  const { client, origin, nodes } = wanted;
  const groups = new Map<string, string>();
  for (const { id, name, parent_id: parent } of groupsInOrder(wanted.groups, nodes)) {
    const isRoot = id === ROOT_GROUP;
    const below = groups.get(parent ?? '') ?? ROOT_GROUP;
    groups.set(id, isRoot ? ROOT_GROUP : await makeGroup(client, name, below));
  }
  const newcomers = nodes.map(({ name, group_id: group, host, labels }): Newcomer => ({
    name,
    groupId: groups.get(group) ?? ROOT_GROUP,
    host: { ...host, labels },
  }));
  const identities = await enrollAll(client, origin, newcomers, wanted.onProgress);
  const seeds = nodes.map(({ host, labels, services }, index) =>
    seedOf(identities[index] as Identity, {
      ...{ index, ...host, labels, services },
      faults: wanted.faults[index] ?? [],
    }),
  );
  const stands = new Map(nodes.map(({ id }, at) => [id, identities[at]?.id ?? '']));
  return { seeds, groupId: ROOT_GROUP, stands: { groups, nodes: stands } };
}

async function makeGroup(client: Client, name: string, parent: string): Promise<string> {
  const { id } = await client.call('groups.create', { body: { name, parent_id: parent } });
  return id;
}
