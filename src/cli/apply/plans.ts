import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import { present } from '../values.js';
import { everyItem, TO_BE_MADE, type GroupTree } from './group-tree.js';
import type { PlanDoc, ScheduleDoc } from './kinds.js';
import { differencesOf, type Step } from './steps.js';

type Plan = Answer<'plans.show'>;
type Schedule = Answer<'schedules.show'>;

/** What the manager has of both, read once. */
export interface PlanShelf {
  readonly tree: GroupTree;
  readonly client: Client;
  readonly plans: readonly Plan[];
  readonly schedules: readonly Schedule[];
}

export async function readShelf(tree: GroupTree, client: Client): Promise<PlanShelf> {
  return {
    tree,
    client,
    plans: await everyItem((query) => client.call('plans.list', { query })),
    schedules: await everyItem((query) => client.call('schedules.list', { query })),
  };
}

const nameOf = ({ name, group }: { readonly name: string; readonly group?: string | undefined }) =>
  group === undefined ? name : `${group}/${name}`;

const isOf = (groupId: string, name: string) => (one: { group_id: string; name: string }) =>
  one.group_id === groupId && one.name === name;

/** Terms that are left out are the defaults, as in any plan. */
export function planStep(doc: PlanDoc, { tree, client, plans }: PlanShelf): Step {
  const { kind, name, group, note, ...terms } = doc;
  const found = plans.find(isOf(tree.idOf(group), name));
  const before = found === undefined ? {} : { ...found.terms, note: found.note };
  const after = { ...terms, note: note ?? found?.note };
  const differences = differencesOf(before, after);
  const body = { terms, ...present({ note }) };
  const base = { kind, name: nameOf(doc), differences, note: null };
  if (found === undefined) {
    return {
      ...base,
      action: 'create',
      run: async () => {
        const made = { ...body, name, group_id: tree.idOf(group) };
        await client.call('plans.create', { body: made });
      },
    };
  }
  return {
    ...base,
    action: differences.length === 0 ? 'unchanged' : 'change',
    run: async () => {
      await client.call('plans.change', { params: { id: found.id }, body });
    },
  };
}

/** What can be changed of a schedule. What is left out of the window and `when_busy` has its default. */
const own = (of: {
  readonly plan: string;
  readonly window: Schedule['window'];
  readonly when_busy: Schedule['when_busy'];
}) => ({ plan: of.plan, window: of.window, when_busy: of.when_busy });

/** Throws `conflict` for what cannot be changed of one. */
export function scheduleStep(doc: ScheduleDoc, shelf: PlanShelf): Step {
  const { tree, client, schedules } = shelf;
  const { kind, name, group, product, channel, paused } = doc;
  const found = schedules.find(isOf(tree.idOf(group), name));
  const after = { ...own(doc), ...present({ paused }) };
  const base = { kind, name: nameOf(doc), note: null };
  if (found === undefined) {
    return {
      ...base,
      action: 'create',
      differences: differencesOf({}, { ...after, product, channel }),
      run: async () => {
        const groupId = tree.idOf(group);
        const { window, when_busy, from } = doc;
        const plan_id = await planIn(doc.plan, groupId, client);
        const wanted = { name, group_id: groupId, product, channel, plan_id, window };
        const body = { ...wanted, when_busy, from, paused: paused ?? false };
        await client.call('schedules.create', { body });
      },
    };
  }
  if (found.product !== product || found.channel !== channel) {
    const message = `schedule ${name} is of ${found.product} on ${found.channel}, which stays as it is`;
    throw new FleetError('conflict', message, {
      context: { fix: 'Take another name, or delete that schedule first.' },
    });
  }
  const before = {
    ...own(found),
    ...(paused === undefined ? {} : { paused: found.state === 'paused' }),
  };
  const differences = differencesOf(before, after);
  return {
    ...base,
    action: differences.length === 0 ? 'unchanged' : 'change',
    differences,
    run: () => bring(doc, found, shelf),
  };
}

async function bring(doc: ScheduleDoc, found: Schedule, { client }: PlanShelf): Promise<void> {
  const params = { id: found.id };
  const isPaused = found.state === 'paused';
  // Paused first and resumed last: in between it starts nothing by half of what is declared.
  if (doc.paused === true && !isPaused) await client.call('schedules.pause', { params });
  if (differencesOf(own(found), own(doc)).length > 0) {
    const { window, when_busy } = doc;
    const plan_id = await planIn(doc.plan, found.group_id, client);
    await client.call('schedules.change', { params, body: { plan_id, window, when_busy } });
  }
  if (doc.paused === false && isPaused) await client.call('schedules.resume', { params });
}

/** The plan of this name that a group takes: its own, or that of the nearest group above. */
async function planIn(name: string, groupId: string, client: Client): Promise<string> {
  if (groupId === TO_BE_MADE) throw new FleetError('not_found', 'the group is not there yet');
  const plans = await everyItem((page) =>
    client.call('plans.list', { query: { for_group_id: groupId, ...page } }),
  );
  const named = plans.filter((plan) => plan.name === name);
  const nearest = await nearestOf(named, groupId, client);
  if (nearest !== undefined) return nearest.id;
  throw new FleetError('not_found', `there is no plan ${name} in its group or above it`);
}

async function nearestOf(
  plans: readonly Plan[],
  groupId: string,
  client: Client,
): Promise<Plan | undefined> {
  let at: string | null = groupId;
  while (at !== null && plans.length > 1) {
    const here = plans.find(({ group_id }) => group_id === at);
    if (here !== undefined) return here;
    at = (await client.call('groups.show', { params: { id: at } })).parent_id;
  }
  return plans[0];
}

/** Plans and schedules that nobody declared, schedules first: they hold their plans. */
export function shelfToPrune(
  declared: readonly (PlanDoc | ScheduleDoc)[],
  kinds: readonly string[],
  { tree, client, plans, schedules }: PlanShelf,
): Step[] {
  const own = new Set(tree.groups.map(({ id }) => id));
  const isDeclared = (kind: string, one: { group_id: string; name: string }): boolean =>
    declared.some((doc) => doc.kind === kind && isOf(tree.idOf(doc.group), doc.name)(one));
  const gone = (kind: string, one: Plan | Schedule, run: () => Promise<unknown>): Step[] =>
    // Plans of groups above are seen by who may use them, and are not his to delete.
    !kinds.includes(kind) || !own.has(one.group_id) || isDeclared(kind, one)
      ? []
      : [
          {
            kind,
            name: one.name,
            action: 'delete',
            differences: [],
            note: one.group_id,
            run: async () => {
              await run();
            },
          },
        ];
  return [
    ...schedules.flatMap((one) =>
      gone('Schedule', one, () => client.call('schedules.remove', { params: { id: one.id } })),
    ),
    ...plans.flatMap((one) =>
      gone('Plan', one, () => client.call('plans.remove', { params: { id: one.id } })),
    ),
  ];
}
