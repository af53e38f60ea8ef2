import { afterEach, beforeEach, expect, it } from 'vitest';
import { release } from '../../../test/support/catalog.js';
import {
  startManagers,
  type OneOfSeveral,
  type SeveralManagers,
} from '../../../test/support/several/managers.js';
import { Releases } from './index.js';

let managers: SeveralManagers;
beforeEach(async () => {
  managers = await startManagers(2);
});
afterEach(() => managers.stop());

it('a release that one manager publishes is news at the others, once', async () => {
  const [a, b] = managers.all as [OneOfSeveral, OneOfSeveral];
  const heard: string[][] = [[], []];
  for (const [index, manager] of [a, b].entries()) {
    manager.get(Releases).onChange((product) => heard[index]?.push(product));
  }
  await release(a, { version: '1.0.0', sequence: 1 });
  await expect.poll(() => heard[1]).toEqual(['edge']);
  expect(heard[0]).toEqual(['edge']);
});

it('managers that publish and collect at one moment do it one after the other', async () => {
  const [a, b] = managers.all as [OneOfSeveral, OneOfSeveral];
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((resolve) => setTimeout(resolve, 5));
    inside -= 1;
  };
  const works = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? a : b));
  await Promise.all(works.map((manager) => manager.get(Releases).exclusively(work)));
  expect(most).toBe(1);
});
