import { FleetError } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';

export type Group = Answer<'groups.create'>;

export const ROOT_GROUP = 'grp_default';
/** Stands for the id of a group that would be made before. */
export const TO_BE_MADE = 'grp_tobemade';

/** Reads every page of a list. */
export async function everyItem<Item>(
  page: (query: { limit: number; cursor?: string }) => Promise<{
    readonly items: readonly Item[];
    readonly next_cursor: string | null;
  }>,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const answer = await page({ limit: 500, ...(cursor === null ? {} : { cursor }) });
    items.push(...answer.items);
    cursor = answer.next_cursor;
  } while (cursor !== null);
  return items;
}

/** The groups that the caller may see, by path: names from the top down. The root has no name in it. */
export class GroupTree {
  readonly #byId = new Map<string, Group>();
  readonly #idOf = new Map<string, string>();

  constructor(groups: readonly Group[]) {
    for (const group of groups) this.#byId.set(group.id, group);
    for (const group of groups) this.#idOf.set(this.pathOf(group), group.id);
  }

  static async read(client: Client): Promise<GroupTree> {
    return new GroupTree(await everyItem((query) => client.call('groups.list', { query })));
  }

  get groups(): readonly Group[] {
    return [...this.#byId.values()];
  }

  pathOf(group: Group): string {
    if (group.id === ROOT_GROUP) return '';
    const parent = group.parent_id === null ? undefined : this.#byId.get(group.parent_id);
    const above = parent === undefined ? '' : this.pathOf(parent);
    return above === '' ? group.name : `${above}/${group.name}`;
  }

  find(path: string): Group | null {
    const id = this.#byId.has(path) ? path : this.#idOf.get(path);
    return (id === undefined ? undefined : this.#byId.get(id)) ?? null;
  }

  /** The id of a group by path or id; left out, the root. Throws `not_found`. */
  idOf(path: string | undefined): string {
    if (path === undefined || path === '' || path === ROOT_GROUP) return ROOT_GROUP;
    const id = this.#byId.has(path) ? path : this.#idOf.get(path);
    if (id !== undefined) return id;
    throw new FleetError('not_found', `there is no group ${path}, here or in the files`, {
      context: { fix: 'Write names from the top down, such as eu/fra, or an id.' },
    });
  }

  /** Remembers a group that was made, or would be. */
  add(path: string, group: Group): void {
    if (group.id !== TO_BE_MADE) this.#byId.set(group.id, group);
    this.#idOf.set(path, group.id);
  }
}

/** The path of a group that is declared: below its parent, whose path may be an id. */
export function declaredPath(tree: GroupTree, name: string, parent: string | undefined): string {
  if (parent === undefined || parent === ROOT_GROUP) return name;
  const known = tree.find(parent);
  const above = known === null ? parent : tree.pathOf(known);
  return above === '' ? name : `${above}/${name}`;
}
