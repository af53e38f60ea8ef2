import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { codeOf, stepAt } from '../../src/core/people/index.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { fromBase32 } from '../support/people/second-factor.js';
import { signIn, startBrowser, type Browser } from './browser.js';
import { CONSOLE_DIR, PASSWORD } from './stage.js';

/** Right to left, a picture, and as long as a name can be. */
const NAME = `\u05e9\u05dc\u05d5\u05dd \ud83d\ude80 ${'Nordwest'.repeat(14)}`;

let manager: TestManager;
let browser: Browser;
let group: string;
let page: Page;

beforeAll(async () => {
  manager = await startTestManager({}, { consoleDir: CONSOLE_DIR });
  group = await manager.group(NAME);
  await manager.node(group, 'edge-in-the-harbour');
  const people = [
    ['ann', 'Ann Lee', { super_admin: true }],
    ['vera', 'Vera Lindqvist', { group_id: group, role: 'viewer' }],
  ] as const;
  for (const [login, name, what] of people) {
    const { body: made } = await manager.call('invitations.create', {
      body: { note: name, ...what },
    });
    const body = { secret: made.secret, login, name, password: PASSWORD, as: 'token' } as const;
    const { status } = await manager.call('invitations.accept', { body }, null);
    if (status >= 300) throw new Error(`${login} could not come in: ${status}`);
  }
  browser = await startBrowser(manager.url);
  page = await browser.open();
  await signIn(page);
});
afterAll(async () => {
  await browser.close();
  await manager.stop();
});
afterEach(async () => {
  expect(browser.errors.splice(0)).toEqual([]);
  // Whatever the names, nothing is wider than the window.
  expect(
    await page.evaluate('document.documentElement.scrollWidth - innerWidth'),
  ).toBeLessThanOrEqual(0);
});

const button = (name: string | RegExp) => page.getByRole('button', { name });
const row = (text: string | RegExp) => page.getByRole('row').filter({ hasText: text }).first();
const choose = async (label: string, option: string | RegExp): Promise<void> => {
  await page.getByRole('button', { name: label }).first().click();
  await page.getByRole('option', { name: option }).first().click();
};

describe('events', () => {
  it('come by themselves, wait while it is paused, and are found, opened and exported', async () => {
    await page.goto('/events');
    await row('Node enrolled').waitFor();
    await page.getByText('live', { exact: true }).waitFor();
    await manager.node(group, 'edge-that-came-late');
    await row('edge-that-came-late').waitFor();

    await button('Pause').click();
    await manager.node(group, 'edge-while-paused');
    await button('1 new event').waitFor();
    expect(await row('edge-while-paused').count()).toBe(0);
    await button('1 new event').click();
    await row('edge-while-paused').waitFor();

    await choose('Severity', 'Critical only');
    await page.getByText('No event fits these filters').waitFor();
    expect(page.url()).toContain('severity=critical');
    await button('Clear all filters').click();

    await button('Node enrolled').first().click();
    const opened = page.getByRole('dialog');
    await opened.getByText('A machine became a node.').waitFor();
    expect(page.url()).toContain('event=');
    await opened.getByRole('button', { name: 'Close' }).click();

    await page.goto('/events?type=node_enrolled');
    await row('Node enrolled').waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Export NDJSON' }).click();
    const lines = readFileSync(await (await download).path(), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
      'node_enrolled',
      'node_enrolled',
      'node_enrolled',
    ]);
  });

  it('that are too many to be drawn are counted, and the list stays short', async () => {
    const { body } = await manager.call('events.list', { query: { order: 'newest', limit: 1 } });
    const [event] = body.items;
    if (event === undefined) throw new Error('there is one');
    const flood = Array.from({ length: 30_000 }, (_, i) => {
      const id = event.id + 1 + i;
      return `id: ${id}\ndata: ${JSON.stringify({ ...event, id, message: `flood ${i + 1}` })}\n\n`;
    }).join('');
    let asked = 0;
    await page.route('**/events/stream?*after=*', async (route) => {
      asked += 1;
      // The first answer is the flood; afterwards nothing comes any more.
      if (asked === 1) await route.fulfill({ contentType: 'text/event-stream', body: flood });
    });
    await page.goto('/events');
    await row('flood 30000').waitFor();
    await page.getByText(/came faster than can be shown and were not drawn/).waitFor();
    await page.getByText('2,000 rows loaded, more when you scroll').waitFor();
    expect(await page.getByRole('row').count()).toBeLessThan(100);
    await page.unroute('**/events/stream?*after=*');
  });

  it('refuse a time that is none, with why, and show a link to an event that is gone', async () => {
    await page.goto('/events?type=nonsense');
    await page.getByRole('alert').filter({ hasText: 'nonsense is not one of' }).waitFor();
    await page.goto('/events?event=999999');
    await page.getByText('This event is not here').waitFor();
  });
});

describe('audit', () => {
  it('is verified in the browser, and again against what the browser kept', async () => {
    await page.goto('/audit');
    await row('node.enroll').waitFor();
    await button('Verify here').click();
    await page.getByText('Everything that was checked holds.').waitFor();
    await page.getByText(/and lead to the signed root/).waitFor();

    await manager.group('One more entry');
    await page.reload();
    await row('group.create').waitFor();
    await button('Verify here').click();
    await page.getByText(/are still there, unchanged/).waitFor();
    await page.getByText('Everything that was checked holds.').waitFor();
  });

  it('that shows another entry than it sealed is found out', async () => {
    await page.route('**/api/v1/audit?*', async (route) => {
      const response = await route.fetch();
      const answer = (await response.json()) as { items: { actor_name: string }[] };
      const [first] = answer.items;
      if (first !== undefined) first.actor_name = 'somebody else';
      await route.fulfill({ response, json: answer });
    });
    await page.goto('/audit');
    await row('somebody else').waitFor();
    await button('Verify here').click();
    await page
      .getByText(/This does not fit: entry \d+: the proof does not lead to the root/)
      .waitFor();
    await page.getByText('The log could not be verified.').waitFor();
    await page.unroute('**/api/v1/audit?*');
  });
});

describe('sinks', () => {
  it('are made from a form, tested, paused and removed', async () => {
    await page.goto('/sinks');
    await button('New sink').first().click();
    const form = page.getByRole('dialog');
    await form.getByLabel('Name').fill('Night shift');
    await form.getByLabel('Address').fill('ftp://nowhere');
    await form.getByRole('button', { name: 'Create sink' }).click();
    await form
      .getByText(/give an http or https address/)
      .first()
      .waitFor();
    await form.getByLabel('Address').fill('http://127.0.0.1:9/in');
    await form.getByRole('button', { name: 'Create sink' }).click();
    await page.getByText(/^whsec_/).waitFor();
    await button('I have it').click();

    await page.getByRole('heading', { level: 1, name: 'Night shift' }).waitFor();
    await button('Send a test event').click();
    await page.getByText(/The test failed after/).waitFor();
    await button('Pause').click();
    await button('Resume').waitFor();
    await button('More').click();
    await page.getByRole('menuitem', { name: 'Remove…' }).click();
    const confirm = page.getByRole('dialog');
    expect(await confirm.getByRole('button', { name: 'Remove sink' }).isDisabled()).toBe(true);
    await confirm.getByText('I know that this cannot be taken back').click();
    await confirm.getByRole('button', { name: 'Remove sink' }).click();
    await page.getByText('No sink yet').waitFor();
  });
});

describe('access', () => {
  it('is given by a link and by tokens, each shown once; a double click makes one', async () => {
    await page.goto('/access');
    await row('Vera Lindqvist').waitFor();
    await button('Invite').click();
    await page.getByLabel('For whom').fill('Night shift');
    await choose('May act on', NAME);
    await button('Make the link').click();
    await page.getByText(/#\/invitation\//).waitFor();
    await button('I have it').click();

    await page.getByRole('tab', { name: 'API tokens' }).click();
    await button('New token').click();
    await page.getByRole('textbox', { name: 'Name' }).fill('SIEM');
    await page.getByText('event.view', { exact: true }).click();
    await button('Make the token').dblclick();
    await page.getByText(/^bwt_/).waitFor();
    await button('I have it').click();
    await row('event.view').waitFor();
    const { body } = await manager.call('tokens.list');
    expect(body.items.filter(({ name }) => name === 'SIEM')).toHaveLength(1);

    await page.getByRole('tab', { name: 'Members by group' }).click();
    await choose('Group', NAME);
    await row('Vera Lindqvist').waitFor();
  });

  it('is not shown to who has none, and the manager refuses', async () => {
    const other = await startBrowser(manager.url);
    const seen = await other.open();
    await signIn(seen, 'vera');
    expect(await seen.getByRole('link', { name: 'Access' }).count()).toBe(0);
    await seen.goto('/access');
    await seen.getByText('What each role may do').waitFor();
    expect(await seen.getByRole('tab').count()).toBe(1);
    await seen.goto('/audit');
    await seen.getByRole('alert').first().waitFor();
    await other.close();
  });
});

describe('settings', () => {
  it('set up a second factor with a code, and show the recovery codes once', async () => {
    await page.goto('/settings');
    await button('Set up').click();
    await page.getByLabel('Your password').fill(PASSWORD);
    await button('Go on').click();
    const secret = await page.getByRole('dialog').locator('code').first().textContent();
    await page.getByLabel('Code', { exact: true }).fill('000000');
    await button('Confirm').click();
    await page.getByRole('alert').waitFor();
    const code = codeOf(fromBase32(secret ?? ''), stepAt(manager.clock.now()));
    await page.getByLabel('Code', { exact: true }).fill(code);
    await button('Confirm').click();
    await page.getByText('Recovery codes, shown once').waitFor();
    await button('I have them').click();
    await page.getByText(/10 recovery codes left/).waitFor();

    await page.getByRole('tab', { name: 'This manager' }).click();
    await page.getByText('SQLite').waitFor();
  });
});
