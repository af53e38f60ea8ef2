import type { Group } from '../../app/session.js';
import type { Choice } from '../../ui/index.js';

/** A group with how deep it lies. */
export interface GroupPlace {
  readonly group: Group;
  readonly depth: number;
}

const byName = new Intl.Collator();

/** Groups as a tree, each below the one that holds it; those whose parent may not be seen stand at the top. */
export function treeOf(groups: readonly Group[]): readonly GroupPlace[] {
  const ids = new Set(groups.map(({ id }) => id));
  const below = new Map<string | null, Group[]>();
  for (const group of groups) {
    const parent = group.parent_id !== null && ids.has(group.parent_id) ? group.parent_id : null;
    const beside = below.get(parent);
    if (beside === undefined) below.set(parent, [group]);
    else beside.push(group);
  }
  const places: GroupPlace[] = [];
  const visit = (parent: string | null, depth: number): void => {
    const here = (below.get(parent) ?? []).sort((a, b) => byName.compare(a.name, b.name));
    for (const group of here) {
      places.push({ group, depth });
      visit(group.id, depth + 1);
    }
  };
  visit(null, 0);
  return places;
}

/** Those whose name holds a text, with the groups above them, so that it is seen where they lie. */
export function placesWith(
  places: readonly GroupPlace[],
  text: string,
  pathOf: (id: string) => readonly string[],
): readonly GroupPlace[] {
  const wanted = text.trim().toLocaleLowerCase();
  if (wanted === '') return places;
  const kept = new Set<string>();
  for (const { group } of places) {
    if (group.name.toLocaleLowerCase().includes(wanted) || group.id === wanted)
      for (const id of pathOf(group.id)) kept.add(id);
  }
  return places.filter(({ group }) => kept.has(group.id));
}

/** The same for a list to choose from. */
export const groupChoices = (groups: readonly Group[]): readonly Choice[] =>
  treeOf(groups).map(({ group, depth }) => ({
    value: group.id,
    label: `${'\u2003'.repeat(depth)}${group.name}`,
  }));
