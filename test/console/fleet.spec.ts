import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, stepAt } from '../../src/core/people/index.js';
import { makeTempDir } from '../support/databases.js';
import { makeSigningKey, publish } from '../support/fleet.js';
import { aHost, callRoute, type TestManager } from '../support/manager.js';
import { aService, connectNode } from '../support/node-link.js';
import { ObedientNode } from '../support/obedient-node.js';
import { fromBase32 } from '../support/people/second-factor.js';
import { startBrowser, type Browser } from './browser.js';
import { PASSWORD } from './stage.js';
import { startUnsetManager, type UnsetManager } from './unset-manager.js';

/** Longer than any column, from right to left, and with signs of several code units. */
const STRANGE = `${'بوابة-'.repeat(12)}🚀🐏`;

/** For one state of the page; a busy machine is slow. */
const WAIT_MS = 25_000;

let unset: UnsetManager;
let manager: TestManager;
let browser: Browser;
let page: Page;
let secret = '';

const button = (name: string | RegExp) => page.getByRole('button', { name });
const dialog = () => page.getByRole('dialog');
const title = (name: string | RegExp) => page.getByRole('heading', { level: 1, name }).waitFor();
const pick = async (label: string, option: string | RegExp): Promise<void> => {
  await page.getByRole('button', { name: new RegExp(`${label}$`) }).click();
  await page.getByRole('option', { name: option }).click();
};

beforeAll(async () => {
  unset = await startUnsetManager({ BELLWETHER_SECOND_FACTOR_FOR: 'admins' });
  browser = await startBrowser(unset.url);
  page = await browser.open();
  page.setDefaultTimeout(WAIT_MS);
});
afterAll(async () => {
  await browser.close();
  await unset.stop();
});

describe('the fleet in the console', () => {
  it('leads whoever comes first from the set-up token to a second factor', async () => {
    await page.goto('/');
    await title('Set up this manager');
    await page.getByLabel('Set-up token').fill('bws_0000000000000000000000000000000000000000');
    await page.getByLabel('Your name').fill('Ann Lee');
    await page.getByLabel('Login').fill('ann');
    await page.getByLabel('Password').fill('short');
    await button('Make the first user').click();
    await page.getByRole('alert').getByText('password_weak').waitFor();
    await page.getByLabel('Password').fill(PASSWORD);
    await button('Make the first user').click();
    await page.getByRole('alert').getByText('setup_token_invalid').waitFor();
    // As the manager prints it: the token is behind `#`, and gone from the address at once.
    await page.goto(`/setup#${unset.setupToken}`);
    await title('Set up this manager');
    await page.waitForURL((url) => url.hash === '');
    await page.getByLabel('Your name').fill('Ann Lee');
    await page.getByLabel('Login').fill('ann');
    await page.getByLabel('Password').fill(PASSWORD);
    await button('Make the first user').dblclick();
    await title('Set up a second factor');
    await page.getByLabel('Your password').fill(PASSWORD);
    await button('Go on').click();
    await page.getByRole('img', { name: /secret for an authenticator/ }).waitFor();
    secret = (await page.locator('.copy code').textContent()) ?? '';
    const code = codeOf(fromBase32(secret), stepAt(Date.now()));
    await page.getByLabel('Code').fill(code);
    await button('Confirm').click();
    await page.getByText('Keep these recovery codes').waitFor();
    const codes = ((await page.locator('.copy code').textContent()) ?? '').split('\n');
    expect(codes.length).toBeGreaterThan(5);
    await page.getByText('I have kept them').click();
    await button('Go on').click();
    await title('Enrollment');
    const body = { login: 'ann', password: PASSWORD, code: codes[0] ?? '', as: 'token' };
    const reply = await callRoute(unset.url, 'session.sign_in', { body }, null);
    manager = unset.as((reply.body as { token: string }).token);
  });

  it('makes a token, and shows the node the moment it enrolls and connects', async () => {
    await page.getByText('Step 2 of 2').waitFor();
    await button('Make a token').click();
    const line = page.locator('.copy code').first();
    await line.waitFor();
    const command = (await line.textContent()) ?? '';
    expect(command).toContain(`--manager ${unset.url} --token bwe_`);
    await page.getByText('Waiting for the machine').waitFor();
    const node = await unset.enroll(/bwe_\w+/.exec(command)?.[0] ?? '', 'first-edge');
    await page.getByText(/first-edge\s+is enrolled/).waitFor();
    await connect(node, 'first-edge');
    await page.getByText('It is connected').waitFor();
    await page.getByRole('link', { name: 'To the node' }).click();
    await title('first-edge');
    await page.getByText('online').first().waitFor();
  });

  it('upgrades a node to a release that was chosen, and leads to the rollout', async () => {
    const dir = makeTempDir();
    const key = makeSigningKey();
    for (const [i, version] of ['1.0.0', '1.1.0'].entries()) {
      await publish(manager, { folder: dir.path, version, sequence: i + 1, key });
    }
    dir.remove();
    await button('Upgrade…').click();
    await dialog()
      .getByRole('button', { name: /^1\.1\.0/ })
      .click();
    await dialog().getByRole('heading', { name: 'Notes' }).waitFor();
    const done = obedient.get('first-edge')?.obey();
    await button('Upgrade to 1.1.0').dblclick();
    await page.waitForURL(/\/rollouts\/rol_/);
    await done;
    const { body } = await manager.call('rollouts.list', { query: {} });
    expect(body.items).toHaveLength(1);
    await page.goBack();
    await title('first-edge');
    await page.getByRole('article', { name: 'edge to 1.1.0' }).getByText('succeeded').waitFor();
  });

  it('has a tree of groups: made, limited, held back, frozen and thawed, and removed when empty', async () => {
    await page.getByRole('link', { name: 'Groups', exact: true }).click();
    await title('Groups');
    await button('New group').click();
    await dialog().getByLabel('Name').fill('Hall 7');
    await button('Make the group').click();
    await title('Hall 7');
    await button('Set quota…').click();
    await dialog().getByText('Limit the number of nodes').click();
    await dialog().getByLabel('Nodes at most').fill('5');
    await button('Set the quota').click();
    await page.getByText('0 of 5 nodes').waitFor();
    await button('Change…').click();
    await dialog()
      .getByText(/^suspended/)
      .click();
    await dialog().getByLabel('Note').fill('Inventory');
    await button('Set to suspended').click();
    await page.getByText('“Inventory”').waitFor();
    await button('Add…').click();
    await dialog().getByLabel('Name').fill('Year end');
    await button(/^Freeze$/).click();
    await button('Thaw Year end').click();
    await dialog().getByRole('button', { name: 'Thaw' }).click();
    await page.getByText('None on this group itself').waitFor();
  });

  it('lists nodes by filters of the address, keeps views, and moves those that were picked', async () => {
    const far = await manager.node('grp_default', STRANGE);
    expect(far.id).toMatch(/^nod_/);
    await page.getByRole('link', { name: 'Nodes', exact: true }).first().click();
    await page.goto('/nodes');
    await page.getByText('2 nodes').waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0);
    await page.getByRole('searchbox', { name: 'Search nodes' }).fill('FIRST');
    await page.getByText('1 node', { exact: true }).waitFor();
    expect(new URL(page.url()).searchParams.get('text')).toBe('FIRST');
    await button('Views').click();
    await page.getByRole('menuitem', { name: 'Save this view…' }).click();
    await dialog().getByLabel('Name').fill('Only the first');
    await button(/^Save$/).click();
    await button('Clear').last().click();
    await page.getByText('2 nodes').waitFor();
    await page.reload();
    await button('Views').click();
    await page.getByRole('menuitem', { name: 'Only the first' }).click();
    await page.getByText('1 node', { exact: true }).waitFor();
    await page.getByRole('checkbox', { name: 'Select this row' }).click({ force: true });
    await page.getByText('1 node selected').waitFor();
    await button('Transfer…').click();
    await pick('To the group', /Hall 7/);
    await dialog()
      .getByRole('button', { name: /^Transfer$/ })
      .click();
    await page
      .getByRole('row', { name: /first-edge/ })
      .getByText('Hall 7')
      .waitFor();
  });

  it('says why a group that is not empty cannot be removed', async () => {
    await page.getByRole('link', { name: 'Hall 7' }).click();
    await title('Hall 7');
    await button('Remove…').click();
    await dialog().getByText('I want it to be gone').click();
    await button('Remove the group').click();
    await dialog().getByText('group_not_empty').waitFor();
    await dialog().getByRole('button', { name: 'Go back' }).click();
  });

  it('tells on the overview how the fleet is, and what waits', async () => {
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByRole('link', { name: /^Nodes 2/ }).waitFor();
    await page.getByText('Versions over time').waitFor();
    await page.getByText('Nothing is being rolled out').waitFor();
  });

  it('revokes a node only when its name was typed', async () => {
    await page.getByRole('link', { name: /^Nodes 2/ }).click();
    await page.getByRole('link', { name: 'first-edge' }).click();
    await title('first-edge');
    await button('Revoke…').click();
    const revoke = dialog().getByRole('button', { name: 'Revoke the node' });
    expect(await revoke.isDisabled()).toBe(true);
    await dialog().getByLabel('Type first-edge to go on').fill('first-edge');
    await revoke.click();
    await page.getByText('revoked', { exact: true }).first().waitFor();
    expect(await button('Upgrade…').count()).toBe(0);
  });

  it('lets an invited viewer in by his link, who sees and changes nothing', async () => {
    const { body: group } = await manager.call('groups.list', { query: {} });
    const hall = group.items.find(({ name }) => name === 'Hall 7')?.id ?? '';
    const { body } = await manager.call('invitations.create', {
      body: { note: 'Vera', group_id: hall, role: 'viewer' },
    });
    await page.goto('/nowhere');
    await page.goto(body.link);
    await title('You are invited');
    expect(page.url()).not.toContain(body.secret);
    await page.getByLabel('Your name').fill('Vera Lindqvist');
    await page.getByLabel('Login').fill('vera');
    await page.getByLabel('Password').fill('short');
    await button('Come in').click();
    await page.getByRole('alert').getByText('password_weak').waitFor();
    await page.getByLabel('Password').fill(`${PASSWORD} again`);
    await button('Come in').click();
    await title('Overview');
    const pages = page.getByRole('navigation', { name: 'Pages' });
    expect(await pages.getByRole('link', { name: 'Enrollment' }).count()).toBe(0);
    await pages.getByRole('link', { name: 'Groups' }).click();
    await page.getByRole('link', { name: 'Hall 7' }).click();
    await page.getByText('Upgrade switch').waitFor();
    for (const name of ['Rename…', 'Remove…', 'Change…', 'Add…', 'Set quota…']) {
      expect(await button(name).count(), name).toBe(0);
    }
    expect(browser.errors).toEqual([]);
  });
});

const obedient = new Map<string, ObedientNode>();
async function connect(node: Awaited<ReturnType<UnsetManager['enroll']>>, name: string) {
  const link = await connectNode(manager, node, {
    host: aHost(name),
    services: [aService({ version: '1.0.0' })],
    capabilities: ['upgrade', 'rollback'],
  });
  obedient.set(name, new ObedientNode(link));
}
