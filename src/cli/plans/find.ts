import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';

export type Plan = Answer<'plans.show'>;
export type Schedule = Answer<'schedules.show'>;

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

async function every<Item>(
  page: (query: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const answer: Page<Item> = await page({
      limit: 500,
      ...(cursor === null ? {} : { cursor }),
    });
    items.push(...answer.items);
    cursor = answer.next_cursor;
  } while (cursor !== null);
  return items;
}

/** Of several of one name in different groups nobody knows which was meant. Throws `not_found`, `conflict`. */
function only<Item extends { readonly id: string; readonly group_id: string }>(
  what: string,
  found: readonly Item[],
): Item {
  const [one, ...more] = found;
  if (one === undefined) throw new FleetError('not_found', `there is no ${what}`);
  if (more.length === 0) return one;
  const list = found.map(({ id, group_id }) => `${id} (${group_id})`).join(', ');
  throw new FleetError('conflict', `several are named so: ${list}`, {
    context: { fix: 'Give the id, or --group.' },
  });
}

const isId = (word: string, prefix: string): boolean =>
  new RegExp(`^${prefix}_[0-9a-z]{6,40}$`).test(word);

/** A plan by its id or name; with a group, the one that its rollouts would take. */
export async function planNamed(
  client: Client,
  word: string,
  groupId: string | undefined,
): Promise<Plan> {
  if (isId(word, 'pln')) return client.call('plans.show', { params: { id: word } });
  const reach = groupId === undefined ? {} : { for_group_id: groupId };
  const plans = await every((page) => client.call('plans.list', { query: { ...reach, ...page } }));
  const named = plans.filter(({ name }) => name === word);
  const own = named.filter(({ group_id }) => group_id === groupId);
  return only(`plan ${word}`, own.length > 0 ? own : named);
}

/** A schedule by its id or name. */
export async function scheduleNamed(
  client: Client,
  word: string,
  groupId: string | undefined,
): Promise<Schedule> {
  if (isId(word, 'sch')) return client.call('schedules.show', { params: { id: word } });
  const of = groupId === undefined ? {} : { group_id: groupId };
  const all = await every((page) => client.call('schedules.list', { query: { ...of, ...page } }));
  return only(
    `schedule ${word}`,
    all.filter(({ name }) => name === word),
  );
}
