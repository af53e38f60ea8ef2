import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { signIn, startBrowser, type Browser } from './browser.js';
import { startStage, type Stage } from './stage.js';

/** Stored plans and schedules by hand: store one, choose it, let it start rollouts. */

let stage: Stage;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  stage = await startStage();
  browser = await startBrowser(stage.url);
  page = await browser.open();
  await signIn(page);
}, 180_000);
afterAll(async () => {
  await browser.close();
  await stage.stop();
});
afterEach(() => expect(browser.errors.splice(0)).toEqual([]));

const button = (name: string | RegExp) => page.getByRole('button', { name, exact: true });
const dialog = () => page.getByRole('dialog');
const pick = async (label: string, option: RegExp): Promise<void> => {
  const inside = (await dialog().count()) > 0 ? dialog() : page;
  await inside.getByRole('button', { name: new RegExp(`${label}$`) }).click();
  await page.getByRole('option', { name: option }).click();
};
const edit = async (name: string): Promise<void> => {
  await button(`More about ${name}`).click();
  await page.getByRole('menuitem', { name: 'Edit…' }).click();
  await dialog().getByLabel('Name').first().waitFor();
};
const plan = async (name: string) =>
  (await stage.call('plans.list', {})).body.items.find((one) => one.name === name);
const schedule = async (name: string) =>
  (await stage.call('schedules.list', {})).body.items.find((one) => one.name === name);

describe('a plan', () => {
  it('is stored by the form, which says at its field what is wrong', async () => {
    await page.goto('/plans');
    await button('New plan').click();
    await dialog().getByLabel('Name').fill('weekly');
    await pick('Group', /Austin/);
    await dialog().getByRole('textbox', { name: 'Waves' }).fill('50, 20');
    await button('Store plan').click();
    await dialog().locator('.field-error').filter({ hasText: 'cumulative' }).waitFor();
    await dialog().getByRole('textbox', { name: 'Waves' }).fill('20, 100');
    await button('Store plan').dblclick();
    await page.getByRole('cell', { name: 'Staged: 20 %, 100 %' }).waitFor();
    expect(await plan('weekly')).toMatchObject({
      group_id: stage.groups.austin,
      revision: 1,
      terms: { strategy: 'staged', wave_percents: [20, 100] },
    });
  });

  it('is chosen in a new rollout, and shown in it with its revision', async () => {
    const query = `product=edge&version=1.2.0&group=${stage.groups.austin}`;
    await page.goto(`/rollouts/new?${query}`);
    await page.getByRole('textbox', { name: 'Waves' }).waitFor();
    await pick('Plan', /^weekly/);
    await page.getByText('the rollout keeps it as it is now').waitFor();
    await page.getByRole('textbox', { name: 'Waves' }).waitFor({ state: 'detached' });
    await button('Preview the plan').click();
    await page.getByRole('heading', { name: 'Waves on a time line' }).waitFor();
    await button('Start rollout…').click();
    await button('Start rollout').click();
    await page.waitForURL(/\/rollouts\/rol_/);
    await page.getByRole('link', { name: 'weekly, revision 1' }).click();
    await page.waitForURL(/\/plans$/);
  });

  it('that a schedule uses is not deleted, and says why', async () => {
    await button('More about careful').click();
    await page.getByRole('menuitem', { name: 'Delete…' }).click();
    await button('Delete plan').click();
    await dialog().getByText('Give them another plan').waitFor();
    await button('Go back').click();
    await edit('weekly');
    expect(await button('Save plan').isDisabled()).toBe(true);
    await dialog().getByLabel('Name').fill('every week');
    await button('Save plan').click();
    await page.getByRole('cell', { name: 'every week', exact: true }).waitFor();
    expect(await plan('every week')).toMatchObject({ revision: 1 });
  });

  it('is edited whole, and what the form did not touch stays to the letter', async () => {
    const before = await plan('careful');
    await edit('careful');
    const first = dialog().getByRole('group', { name: 'Wave 1' });
    expect(await first.getByLabel('Watch it for').inputValue()).toBe('60');
    const nodes = first.getByRole('textbox', { name: 'Nodes', exact: true });
    await nodes.fill('none');
    await button('Save plan').click();
    await first.locator('.field-error').first().waitFor();
    await nodes.fill('3');
    await button('Save plan').dblclick();
    await dialog().waitFor({ state: 'detached' });
    const after = await plan('careful');
    const [one, ...others] = before?.terms.waves ?? [];
    expect(after).toMatchObject({ revision: 2, note: before?.note });
    expect(after?.terms).toEqual({
      ...before?.terms,
      waves: [{ ...one, count: 3 }, ...others],
    });
  });

  it('that somebody changed meanwhile shows what, and saves only on top of that', async () => {
    const params = { id: (await plan('every week'))?.id ?? '' };
    await edit('every week');
    await dialog().getByLabel('Note').fill('mine');
    const terms = { strategy: 'staged', wave_percents: [5, 100] };
    await stage.call('plans.change', { params, body: { name: 'each week', terms } as never });
    const sent = page.waitForRequest((request) => request.method() === 'PATCH');
    await button('Save plan').click();
    expect((await sent).headers()['if-match']).toMatch(/^"[\w-]+"$/);
    const told = dialog().getByRole('alert');
    await told.getByText('every week → each week').waitFor();
    await told.getByText('20, 100 → 5, 100').waitFor();
    expect(await plan('each week')).toMatchObject({ note: '', revision: 2 });
    expect(await button('Save plan').isDisabled()).toBe(true);
    await button('Take it over, keep mine').click();
    expect(await dialog().getByLabel('Name').inputValue()).toBe('each week');
    expect(await dialog().getByLabel('Note').inputValue()).toBe('mine');
    await button('Save plan').click();
    await dialog().waitFor({ state: 'detached' });
    expect(await plan('each week')).toMatchObject({
      ...{ note: 'mine', revision: 2 },
      terms: { wave_percents: [5, 100] },
    });
  });
});

describe('a schedule', () => {
  it('is made with a window, shown with what it waits for, paused and resumed', async () => {
    await page.goto('/plans');
    await button('New schedule').click();
    await dialog().getByLabel('Name').fill('by night');
    await pick('Product', /^edge/);
    await pick('Group', /Austin/);
    await pick('Plan', /^each week/);
    await dialog().getByLabel('Time zone').fill('Nowhere/Land');
    await button('Make schedule').click();
    await dialog().locator('.field-error').filter({ hasText: 'not a time zone' }).waitFor();
    await dialog().getByLabel('Time zone').fill('America/Chicago');
    await button('Make schedule').click();
    const row = page.getByRole('row').filter({ hasText: 'by night' });
    await row.getByText('nothing new is on the channel').waitFor();
    expect(await schedule('by night')).toMatchObject({
      group_id: stage.groups.austin,
      window: { start: '22:00', duration_minutes: 240, time_zone: 'America/Chicago' },
      maker: { kind: 'user', name: 'ann' },
    });
    await button('More about by night').click();
    await page.getByRole('menuitem', { name: 'Pause…' }).click();
    await dialog().getByText('Rollouts that it has started go on.').waitFor();
    await button('Pause schedule').click();
    await row.getByText('paused').waitFor();
    await button('More about by night').click();
    await page.getByRole('menuitem', { name: 'Resume…' }).click();
    await dialog().getByText('with your rights').waitFor();
    await button('Resume schedule').click();
    await row.getByText('idle').waitFor();
  });

  it('is edited: another window, another plan; who is late sees what was changed', async () => {
    const params = { id: (await schedule('by night'))?.id ?? '' };
    await edit('by night');
    await pick('Plan', /^fast/);
    await dialog().getByLabel('For hours').fill('1.5');
    await button('Save schedule').click();
    await dialog().waitFor({ state: 'detached' });
    const fast = { plan: 'fast', window: { start: '22:00', duration_minutes: 90 } };
    expect(await schedule('by night')).toMatchObject(fast);

    await edit('by night');
    await dialog().getByLabel('Name').fill('mine');
    const { status } = await stage.call('schedules.change', {
      params,
      body: { window: null, when_busy: 'supersede' },
    });
    expect(status).toBe(200);
    await button('Save schedule').click();
    const told = dialog().getByRole('alert');
    await told.getByText('wait → supersede').waitFor();
    await told.getByText(/at 22:00 for 90 min, America\/Chicago → at any time/).waitFor();
    await button('Begin again with it').click();
    expect(await dialog().getByLabel('Name').inputValue()).toBe('by night');
    expect(await dialog().getByLabel('Starts at').count()).toBe(0);
    await dialog().getByLabel('Name').fill('by day');
    await button('Save schedule').click();
    await page.getByRole('cell', { name: 'by day', exact: true }).waitFor();
    expect(await schedule('by day')).toMatchObject({
      ...{ plan: 'fast', window: null, when_busy: 'supersede' },
      maker: { kind: 'user', name: 'ann' },
    });
  });

  it('is seen, and not changed, by who may only look', async () => {
    const other = await startBrowser(stage.url);
    try {
      const seen = await other.open();
      await signIn(seen, 'vera');
      await seen.goto('/plans');
      await seen.getByRole('cell', { name: 'nightly' }).waitFor();
      await seen.getByRole('table', { name: 'Plans' }).getByText('careful').waitFor();
      expect(await seen.getByRole('button', { name: /^(New|More about)/ }).count()).toBe(0);
      expect(await seen.getByText('each week').count()).toBe(0);
    } finally {
      await other.close();
    }
  });
});
