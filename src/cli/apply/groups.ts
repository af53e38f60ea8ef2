import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import { present } from '../values.js';
import { declaredPath, type Group, type GroupTree, ROOT_GROUP, TO_BE_MADE } from './group-tree.js';
import type { GroupDoc } from './kinds.js';
import { differencesOf, type Difference, type Step } from './steps.js';

type Switch = Answer<'groups.switch'>;
type Freeze = Answer<'groups.freeze'>;

/** A group as it is, as far as it is declared; null: it is not there. */
interface Actual {
  readonly group: Group;
  readonly upgrades: Switch | null;
  readonly freezes: readonly Freeze[];
}

async function actualOf(doc: GroupDoc, group: Group, client: Client): Promise<Actual> {
  const params = { id: group.id };
  return {
    group,
    upgrades: doc.upgrades === undefined ? null : await client.call('groups.switch', { params }),
    freezes:
      doc.freezes === undefined ? [] : (await client.call('groups.freezes', { params })).items,
  };
}

/** A freeze is the same when name and times are: there is nothing else to it. */
const freezeKey = ({ name, from, to }: { name: string; from: string; to: string }): string =>
  `${name} ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;

const missingFreezes = (doc: GroupDoc, actual: Actual | null) => {
  const there = new Set(actual?.freezes.map(freezeKey));
  return (doc.freezes ?? []).filter((freeze) => !there.has(freezeKey(freeze)));
};

function differences(doc: GroupDoc, actual: Actual | null): Difference[] {
  const { nodes_max: most, upgrades } = doc;
  const before = {
    ...(most === undefined ? {} : { nodes_max: actual?.group.nodes_max }),
    ...(upgrades === undefined
      ? {}
      : {
          'upgrades.mode': actual?.upgrades?.mode ?? 'enabled',
          'upgrades.note': upgrades.note === undefined ? undefined : (actual?.upgrades?.note ?? ''),
        }),
  };
  const after = {
    ...(most === undefined ? {} : { nodes_max: most }),
    ...(upgrades === undefined
      ? {}
      : { 'upgrades.mode': upgrades.mode, 'upgrades.note': upgrades.note }),
  };
  return [
    ...differencesOf(before, after),
    ...missingFreezes(doc, actual).map((freeze) => ({
      field: 'freezes',
      from: null,
      to: freezeKey(freeze),
    })),
  ];
}

async function bring(
  id: string,
  doc: GroupDoc,
  actual: Actual | null,
  client: Client,
): Promise<void> {
  const params = { id };
  const changed = new Set(differences(doc, actual).map(({ field }) => field.split('.')[0]));
  if (changed.has('nodes_max')) {
    await client.call('groups.set_quota', { params, body: { nodes_max: doc.nodes_max ?? null } });
  }
  if (changed.has('upgrades') && doc.upgrades !== undefined) {
    const { mode, note } = doc.upgrades;
    await client.call('groups.set_switch', { params, body: { mode, ...present({ note }) } });
  }
  for (const body of missingFreezes(doc, actual)) {
    await client.call('groups.freeze', { params, body });
  }
}

const asIfMade = (doc: GroupDoc): Group => ({
  id: TO_BE_MADE,
  name: doc.name,
  parent_id: null,
  nodes_max: null,
  created_at: new Date(0).toISOString(),
});

/** What is to be done about a group. Its place in the tree is known afterwards, made or not. */
export async function groupStep(
  doc: GroupDoc,
  { tree, client }: { readonly tree: GroupTree; readonly client: Client },
): Promise<Step> {
  const path = declaredPath(tree, doc.name, doc.parent);
  const found = tree.find(path);
  if (found === null) {
    // Throws when its parent is neither there nor declared before it.
    tree.idOf(doc.parent);
    tree.add(path, asIfMade(doc));
    return {
      kind: 'Group',
      name: path,
      action: 'create',
      differences: differences(doc, null),
      note: null,
      run: async () => {
        const body = { name: doc.name, parent_id: tree.idOf(doc.parent) };
        const made = await client.call('groups.create', { body });
        tree.add(path, made);
        await bring(made.id, doc, null, client);
      },
    };
  }
  const actual = await actualOf(doc, found, client);
  const differing = differences(doc, actual);
  return {
    kind: 'Group',
    name: path,
    action: differing.length === 0 ? 'unchanged' : 'change',
    differences: differing,
    note: null,
    run: () => bring(found.id, doc, actual, client),
  };
}

/** Groups that nobody declared, deepest first; the root stays, and so does what stands above others. */
export function groupsToPrune(
  docs: readonly GroupDoc[],
  { tree, client }: { readonly tree: GroupTree; readonly client: Client },
): Step[] {
  const declared = docs.map((doc) => declaredPath(tree, doc.name, doc.parent));
  const isKept = (path: string): boolean =>
    declared.some((one) => one === path || one.startsWith(`${path}/`));
  return tree.groups
    .filter(({ id }) => id !== ROOT_GROUP)
    .map((group) => ({ group, path: tree.pathOf(group) }))
    .filter(({ path }) => !isKept(path))
    .sort((a, b) => b.path.split('/').length - a.path.split('/').length)
    .map(({ group, path }) => ({
      kind: 'Group',
      name: path,
      action: 'delete',
      differences: [],
      note: null,
      run: () => client.call('groups.remove', { params: { id: group.id } }),
    }));
}
