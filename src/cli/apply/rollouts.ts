import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import type { RolloutBody } from '../fleet/index.js';
import { rolloutBody } from './documents.js';
import { everyItem, TO_BE_MADE, type GroupTree } from './group-tree.js';
import type { RolloutDoc } from './kinds.js';
import type { Step } from './steps.js';

type Rollout = Answer<'rollouts.show'>;

/** One that is, or was, on its way to what is declared. */
const COUNTS: readonly Rollout['status'][] = ['pending', 'in_progress', 'paused', 'complete'];

/** The newest rollout of the same release to the same group that was not called off. */
async function existing(doc: RolloutDoc, groupId: string, client: Client): Promise<Rollout | null> {
  for (const status of COUNTS) {
    const found = await everyItem((page) =>
      client.call('rollouts.list', { query: { ...page, status, group_id: groupId } }),
    );
    const same = found.find(
      (rollout) =>
        rollout.product === doc.product &&
        rollout.version === doc.version &&
        rollout.channel === doc.channel &&
        rollout.group_id === groupId &&
        rollout.scope.kind === 'group' &&
        rollout.reverts === null,
    );
    if (same !== undefined) return same;
  }
  return null;
}

/**
 * What is to be done about a rollout: it is made unless there is one of this release to this group. A plan
 * that runs is never changed: its terms are not compared. `isAsked`: ask for a preview, for its size.
 */
export async function rolloutStep(
  doc: RolloutDoc,
  {
    tree,
    client,
    isAsked,
  }: { readonly tree: GroupTree; readonly client: Client; readonly isAsked: boolean },
): Promise<Step> {
  const path = doc.scope?.group;
  const groupId = tree.idOf(path);
  const isNew = groupId === TO_BE_MADE;
  const there = isNew ? null : await existing(doc, groupId, client);
  const bodyOf = (): RolloutBody => rolloutBody(doc, tree.idOf(path)) as unknown as RolloutBody;
  const base = {
    kind: 'Rollout',
    name: `${doc.product} ${doc.version}${path === undefined ? '' : ` to ${path}`}`,
    differences: [],
  };
  if (there !== null) {
    const note = `${there.id} is ${there.status}`;
    return { ...base, action: 'unchanged', note, run: async () => undefined };
  }
  const note = isAsked && !isNew ? await sizeOf(bodyOf(), client) : null;
  return {
    ...base,
    action: 'create',
    note,
    run: async () => {
      await client.call('rollouts.create', { body: bodyOf() });
    },
  };
}

/** Throws what the manager has against the plan. */
async function sizeOf(body: RolloutBody, client: Client): Promise<string> {
  const { waves } = await client.call('rollouts.preview', { body });
  const nodes = waves.reduce((sum, { size }) => sum + size, 0);
  return `${nodes} node${nodes === 1 ? '' : 's'} in ${waves.length} wave${waves.length === 1 ? '' : 's'}`;
}
