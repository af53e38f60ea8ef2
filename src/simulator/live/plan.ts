import { readFile } from 'node:fs/promises';
import { CreateRollout } from '../../protocol/api/index.js';

type Part = Readonly<Record<string, unknown>>;
export type PlanFields = Part;

/** Reads a plan as JSON: what `bellwether rollouts create --plan` takes, in that form. */
export async function readPlan(path: string): Promise<PlanFields> {
  let plan: unknown;
  try {
    plan = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
  checkPlan(path, plan);
  return plan as PlanFields;
}

function checkPlan(name: string, plan: unknown): CreateRollout {
  const parsed = CreateRollout.safeParse(plan);
  if (parsed.success) return parsed.data;
  const list = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`${name} is no plan: ${list.join('; ')}`);
}

/** Which group and node of the rehearsal stands for which of the inventory. */
export interface Stands {
  readonly groups: ReadonlyMap<string, string>;
  readonly nodes: ReadonlyMap<string, string>;
}

/** The same plan with the ids of the rehearsal. An id that the inventory does not have is an error. */
export function withStands(plan: PlanFields, { groups, nodes }: Stands): PlanFields {
  const map = (ids: ReadonlyMap<string, string>, id: unknown): string => {
    const stand = ids.get(String(id));
    if (stand === undefined)
      throw new Error(`the inventory has no ${String(id)}, which the plan names`);
    return stand;
  };
  const walk = (value: unknown, key: string): unknown => {
    if (Array.isArray(value)) {
      if (key === 'node_ids' || key === 'exclude_node_ids')
        return value.map((id) => map(nodes, id));
      return value.map((one) => walk(one, key));
    }
    if (key === 'group_id' && typeof value === 'string') return map(groups, value);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, walk(one, name)]));
  };
  return walk(plan, '') as PlanFields;
}

/** What a rehearsal does not wait for, and what it waits for less. */
const HURRY: Readonly<Record<string, (value: unknown, settle: number) => unknown>> = {
  settle_seconds: (value, settle) => Math.min(Number(value), settle),
  spread_seconds: (value, settle) => Math.min(Number(value), settle),
  wait_hours: () => 0,
  window: () => null,
  windows: () => [],
  not_before: () => null,
  apply_after: () => null,
  approvals: (value) => Math.min(Number(value), 1),
};

/**
 * The same plan in a hurry: waves, limits and order stay as they are; hours of waiting, maintenance windows
 * and all but one approval go, and settling takes `settleSeconds` at most. With what was changed, in words.
 */
export function hastened(
  plan: PlanFields,
  settleSeconds: number,
): { readonly plan: PlanFields; readonly changes: readonly string[] } {
  const changes: string[] = [];
  // With its defaults: 300 s of settling need not be written down to be waited for.
  const whole = { settle_seconds: 300, ...plan };
  const walk = (value: unknown, path: string): unknown => {
    if (Array.isArray(value)) return value.map((one, at) => walk(one, `${path}[${at}]`));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => {
        const where = path === '' ? name : `${path}.${name}`;
        const hurry = HURRY[name];
        if (hurry === undefined) return [name, walk(one, where)];
        const less = hurry(one, settleSeconds);
        if (JSON.stringify(less) !== JSON.stringify(one)) {
          changes.push(`${where}: ${JSON.stringify(one)} → ${JSON.stringify(less)}`);
        }
        return [name, less];
      }),
    );
  };
  return { plan: walk(whole, '') as PlanFields, changes };
}
