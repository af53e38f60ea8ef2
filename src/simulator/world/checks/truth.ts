import type { Database, Scope } from '../parts.js';

/** A node as the simulator made it, whatever the manager thinks of it. */
export interface TrueNode {
  readonly id: string;
  readonly groupId: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface FreezeRow {
  readonly group_id: string;
  readonly from_at: number;
  readonly to_at: number;
}

/** The switches and freezes as they are stored at one moment. */
export interface Holds {
  readonly modes: ReadonlyMap<string, string>;
  readonly freezes: readonly FreezeRow[];
}

export async function readHolds(database: Database): Promise<Holds> {
  const switches = await database.read.all<{ group_id: string; mode: string }>(
    'SELECT group_id, mode FROM upgrade_switches',
  );
  const freezes = await database.read.all<FreezeRow>(
    'SELECT group_id, from_at, to_at FROM freezes',
  );
  return { modes: new Map(switches.map((row) => [row.group_id, row.mode])), freezes };
}

/** The groups of a world: what is above each, itself included. */
export type GroupPaths = ReadonlyMap<string, readonly string[]>;

/** Whether anything holds upgrades of a group back at a moment. */
export function isHeld(holds: Holds, path: readonly string[], now: number): boolean {
  if (path.some((id) => (holds.modes.get(id) ?? 'enabled') !== 'enabled')) return true;
  return holds.freezes.some(
    (one) => path.includes(one.group_id) && one.from_at <= now && now < one.to_at,
  );
}

/** Whether a scope means a node. */
export function isMeant(scope: Scope, node: TrueNode, paths: GroupPaths): boolean {
  const isBelow = paths.get(node.groupId)?.includes(scope.groupId) ?? false;
  const isGroup = scope.subgroups ? isBelow : node.groupId === scope.groupId;
  const isNamed = scope.nodeIds === null || scope.nodeIds.includes(node.id);
  const hasLabels = Object.entries(scope.labels).every(
    ([key, value]) => node.labels[key] === value,
  );
  return isGroup && isNamed && hasLabels && !scope.exclude.includes(node.id);
}
