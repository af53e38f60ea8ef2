import type { Page } from 'playwright-core';
import { heading, type ShownPage } from './shown-page.js';

const text =
  (what: string | RegExp) =>
  (page: Page): Promise<unknown> =>
    page.getByText(what).first().waitFor();

/** Opens something on a page before its picture is taken. */
const after =
  (ready: ShownPage['ready'], open: (page: Page) => Promise<unknown>): ShownPage['ready'] =>
  async (page) => {
    await ready(page);
    await open(page);
  };

export const FLEET_PAGES: readonly ShownPage[] = [
  { name: 'overview', path: () => '/', ready: heading('Overview') },
  { name: 'nodes', path: () => '/nodes', ready: text('fra-edge-01') },
  {
    name: 'nodes-failed',
    path: () => '/nodes?upgrade=failed&outdated=true',
    ready: text('upgrade failed'),
  },
  { name: 'nodes-empty', path: () => '/nodes?text=nowhere', ready: text('No node fits') },
  {
    name: 'node-failed',
    path: () => '/nodes?upgrade=failed',
    ready: async (page) => {
      await page.getByRole('link', { name: /^lab-edge-/ }).click();
      await page.getByText('Why not newer?').waitFor();
    },
  },
  {
    name: 'node-upgrade',
    path: ({ nodes }) => `/nodes/${nodes.get('aus-edge-01') ?? ''}`,
    ready: after(heading('aus-edge-01'), async (page) => {
      await page.getByRole('button', { name: 'Upgrade…' }).click();
      await page.getByRole('button', { name: /^1\.2\.0/ }).click();
    }),
  },
  { name: 'groups', path: () => '/groups', ready: text('Frankfurt') },
  {
    name: 'group',
    path: ({ groups }) => `/groups/${groups.europe}`,
    ready: text('Versions running'),
  },
  { name: 'enrollment-begin', path: () => '/enrollment', ready: heading('Enrollment') },
  {
    name: 'enrollment-token',
    path: () => '/enrollment',
    ready: after(heading('Enrollment'), async (page) => {
      await page.getByRole('button', { name: 'Make a token' }).click();
      await page.getByText('Waiting for the machine').waitFor();
    }),
  },
  { name: 'setup-done', path: () => '/setup', ready: heading('This manager is set up') },
  { name: 'invitation', path: () => '/invitation#bwi_nothing', ready: heading('You are invited') },
];
