import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { Arch, Os, ProductName, Variant, Version } from '../../core/release/index.js';
import { Id, Labels } from '../../protocol/node/index.js';

/** What a rehearsal reads of a node, out of `bellwether nodes list --limit 50000 -o json`; the rest is passed over. */
const Node = z.object({
  id: Id,
  name: z.string().min(1).max(128),
  group_id: Id,
  status: z.string().max(32),
  host: z.object({ os: Os, arch: Arch }),
  labels: Labels,
  services: z
    .array(
      z.object({
        name: ProductName,
        product: ProductName,
        variant: Variant,
        version: Version.nullable(),
      }),
    )
    .max(64),
});
export type InventoryNode = z.infer<typeof Node>;

const Group = z.object({ id: Id, name: z.string().max(128), parent_id: Id.nullable() });
export type InventoryGroup = z.infer<typeof Group>;

const NODES_MAX = 50_000;

/** A list, or a page of one. */
const listOf = <T extends z.ZodType>(item: T, max: number) =>
  z
    .union([z.array(item).max(max), z.object({ items: z.array(item).max(max) })])
    .transform((read) => (Array.isArray(read) ? read : read.items));

async function read<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [problem] = parsed.error.issues;
  throw new Error(`${path}: ${problem?.path.join('.') ?? ''} ${problem?.message ?? 'is wrong'}`);
}

/** The nodes of an exported inventory; those that were revoked are left out. */
export async function readInventory(path: string): Promise<readonly InventoryNode[]> {
  const nodes = await read(path, listOf(Node, NODES_MAX));
  const wanted = nodes.filter(({ status }) => status !== 'revoked');
  if (wanted.length === 0) throw new Error(`${path} holds no node`);
  return wanted;
}

export const readGroups = (path: string): Promise<readonly InventoryGroup[]> =>
  read(path, listOf(Group, 10_000));

/** Says a parent before those below it. Groups of nodes that are nowhere described come last, under the root. */
export function groupsInOrder(
  groups: readonly InventoryGroup[],
  nodes: readonly InventoryNode[],
): readonly InventoryGroup[] {
  const known = new Map(groups.map((group) => [group.id, group]));
  for (const { group_id: id } of nodes) {
    if (!known.has(id)) known.set(id, { id, name: id, parent_id: null });
  }
  const ordered: InventoryGroup[] = [];
  const seen = new Set<string>();
  const visit = (group: InventoryGroup): void => {
    if (seen.has(group.id)) return;
    seen.add(group.id);
    const parent = group.parent_id === null ? undefined : known.get(group.parent_id);
    if (parent !== undefined) visit(parent);
    ordered.push(group);
  };
  for (const group of known.values()) visit(group);
  return ordered;
}
