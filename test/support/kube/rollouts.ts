import { expect } from 'vitest';
import { eventually } from '../fleet.js';
import type { TestManager } from '../manager.js';

const WAIT_MS = 60_000;

/** Rolls out to whoever runs the product, at once; gives the id of the rollout. */
export async function rollOut(
  manager: TestManager,
  version: string,
  more: object = {},
): Promise<string> {
  const body = { product: 'edge', version, strategy: 'immediate', ...more } as never;
  const made = await manager.call('rollouts.create', { body });
  expect([made.status, made.body]).toMatchObject([202, {}]);
  return made.body.id;
}

const targetsOf = async (manager: TestManager, id: string) =>
  (await manager.call('rollouts.targets', { params: { id } })).body.items;

/** The first target of a rollout comes to be as this says. */
export const endsAs = (manager: TestManager, id: string, state: object): Promise<void> =>
  eventually(async () => expect((await targetsOf(manager, id))[0]).toMatchObject(state), WAIT_MS);

/** So do all of them, and there are no others. */
export const allEndAs = (
  manager: TestManager,
  id: string,
  states: readonly object[],
): Promise<void> =>
  eventually(async () => expect(await targetsOf(manager, id)).toMatchObject(states), WAIT_MS);
