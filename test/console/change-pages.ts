import type { Page } from 'playwright-core';
import { heading, type ShownPage } from './shown-page.js';
import type { Stage } from './stage.js';

/** The picture of the waves is drawn. */
const withCells = async (page: Page): Promise<unknown> => {
  await heading(/^edge /)(page);
  return page.getByRole('application').first().waitFor();
};

/** A plan that is filled in and looked at. */
const withPreview = async (page: Page): Promise<unknown> => {
  await heading('New rollout')(page);
  await page.getByRole('button', { name: 'Preview the plan' }).click();
  return page.getByRole('heading', { name: 'Waves on a time line' }).waitFor();
};

const newRollout = ({ groups }: Stage): string =>
  `/rollouts/new?product=edge&version=1.2.0&group=${groups.austin}`;

const editCareful = async (page: Page): Promise<void> => {
  await page.getByRole('button', { name: 'More about careful' }).click();
  await page.getByRole('menuitem', { name: 'Edit…' }).click();
  await page.getByRole('group', { name: 'Wave 1' }).waitFor();
};

export const CHANGE_PAGES: readonly ShownPage[] = [
  {
    name: 'rollouts',
    path: () => '/rollouts',
    ready: (page) => page.getByRole('link', { name: 'edge 1.3.0' }).waitFor(),
  },
  {
    name: 'rollout-moving',
    path: ({ rollouts }) => `/rollouts/${rollouts.moving}`,
    ready: withCells,
  },
  {
    name: 'rollout-paused',
    path: ({ rollouts }) => `/rollouts/${rollouts.paused}`,
    ready: withCells,
  },
  {
    name: 'rollout-journal',
    path: ({ rollouts }) => `/rollouts/${rollouts.complete}?tab=journal`,
    ready: withCells,
  },
  { name: 'rollout-new', path: newRollout, ready: withPreview },
  {
    name: 'plans',
    path: () => '/plans',
    ready: async (page) => {
      await heading('Plans and schedules')(page);
      await page.getByText('nightly').first().waitFor();
      return page.getByText('careful').first().waitFor();
    },
  },
  {
    name: 'plans-edit',
    path: () => '/plans',
    ready: editCareful,
  },
  {
    name: 'plans-conflict',
    path: () => '/plans',
    ready: async (page) => {
      await editCareful(page);
      await page.getByLabel('Hours after the one before').last().fill('24');
      // Somebody else is faster, in another tab.
      const other = await page.context().newPage();
      await other.goto('/plans');
      await editCareful(other);
      await other.getByRole('textbox', { name: 'Note' }).fill(`two go first, as of ${Date.now()}`);
      await other.getByRole('button', { name: 'Save plan' }).click();
      await other.getByRole('dialog').waitFor({ state: 'detached' });
      await other.close();
      await page.getByRole('button', { name: 'Save plan' }).click();
      await page.getByText('Nothing of yours is').waitFor();
      await page.getByRole('button', { name: 'Begin again with it' }).scrollIntoViewIfNeeded();
    },
  },
  {
    name: 'plans-schedule',
    path: () => '/plans',
    ready: async (page) => {
      await page.getByRole('button', { name: 'New schedule' }).click();
      return page.getByRole('dialog').getByText('Only the start is held').waitFor();
    },
  },
  {
    name: 'releases',
    path: () => '/releases',
    ready: (page) => page.getByRole('link', { name: 'edge 1.3.0' }).waitFor(),
  },
  {
    name: 'release-one',
    path: () => '/releases',
    ready: async (page) => {
      await page.getByRole('link', { name: 'edge 1.2.0' }).click();
      await page.getByRole('heading', { name: 'Signatures' }).waitFor();
    },
  },
];
