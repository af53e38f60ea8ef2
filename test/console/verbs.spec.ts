import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Answer } from '../../src/protocol/api/index.js';
import { eventually } from '../support/fleet.js';
import { connectNode } from '../support/node-link.js';
import { signIn, startBrowser, type Browser } from './browser.js';
import { startStage, type Stage } from './stage.js';

/** The buttons that are seldom pressed: each once by hand, and what the manager says afterwards. */

let stage: Stage;
let browser: Browser;
let page: Page;
let receiver: Server;

/** What a receiver got, and whether it refuses enrollments. */
const heard = { refuses: true, refused: 0, enrolled: 0 };

beforeAll(async () => {
  receiver = createServer((asked, answer) => {
    const pieces: Buffer[] = [];
    asked.on('data', (piece: Buffer) => pieces.push(piece));
    asked.on('end', () => {
      const text = Buffer.concat(pieces).toString();
      const isRefused = heard.refuses && text.includes('node_enrolled');
      if (isRefused) heard.refused += 1;
      else heard.enrolled += text.split('"node_enrolled"').length - 1;
      answer.writeHead(isRefused ? 400 : 200).end();
    });
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  stage = await startStage({ BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.0/8' });
  browser = await startBrowser(stage.url);
  page = await browser.open();
  await signIn(page);
}, 180_000);
afterAll(async () => {
  await browser.close();
  await stage.stop();
  receiver.closeAllConnections();
  receiver.close();
});
afterEach(() => expect(browser.errors.splice(0)).toEqual([]));

const button = (name: string | RegExp) => page.getByRole('button', { name, exact: true });
const dialog = () => page.getByRole('dialog');
const pick = async (menu: string, item: string): Promise<void> => {
  await button(menu).click();
  await page.getByRole('menuitem', { name: item }).click();
};
/** Says yes to what the window asks, and waits until it was taken. */
const confirm = async (verb: string): Promise<void> => {
  await dialog().getByRole('button', { name: verb, exact: true }).click();
  await dialog().waitFor({ state: 'detached' });
};
const ok = async <T>(reply: Promise<{ status: number; body: T }>): Promise<T> => {
  const { status, body } = await reply;
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body;
};
const rollout = (id: string): Promise<Answer<'rollouts.show'>> =>
  ok(stage.call('rollouts.show', { params: { id } }));

describe('a wave', () => {
  it('is called done, and the next one goes on when somebody approved it', async () => {
    const id = stage.rollouts.moving;
    await page.goto(`/rollouts/${id}`);
    await pick('Wave 2: what can be done', 'Mark done…');
    await dialog().getByText('stop nothing more').waitFor();
    await confirm('Mark done');
    expect((await rollout(id)).waves[1]?.reason).toBe('manual_forced_done');

    await button('Approve…').click();
    await dialog().getByText('Your approval counts once').waitFor();
    await confirm('Approve');
    await page.getByText('1 approval').waitFor();
    expect((await rollout(id)).waves[2]?.approved_by).toHaveLength(1);
    await eventually(async () => expect((await rollout(id)).waves[2]?.status).not.toBe('pending'));
  });
});

describe('a rollout', () => {
  it('that paused itself tries what failed again', async () => {
    const id = stage.rollouts.paused;
    await page.goto(`/rollouts/${id}`);
    await pick('More that can be done', 'Retry failed…');
    await dialog().getByText('1 node that failed').waitFor();
    await confirm('Try again');
    await page.getByText('Failed nodes are tried again.').waitFor();
    expect((await rollout(id)).waves[0]?.counts.rolled_back ?? 0).toBe(0);
  });

  it('that a freeze holds goes on by broken glass, wave by wave by hand, and ends for the record', async () => {
    const { austin } = stage.groups;
    const now = stage.clock.now();
    const at = (ms: number): string => new Date(now + ms).toISOString();
    const freeze = { name: 'Harvest', from: at(-60_000), to: at(86_400_000) };
    await ok(stage.call('groups.freeze', { params: { id: austin }, body: freeze }));
    const wait = { settle_seconds: 3_600, tolerate: { offline: null } };
    const { id } = await ok(
      stage.call('groups.upgrade', {
        params: { id: austin },
        body: {
          product: 'edge',
          version: '1.1.0',
          strategy: 'custom',
          waves: [
            { name: 'first', percent: 20, ...wait },
            { name: 'rest', rest: true, ...wait },
          ],
        } as never,
      }),
    );
    await page.goto(`/rollouts/${id}`);
    await pick('More that can be done', 'Break glass…');
    expect(await button('Break glass').isDisabled()).toBe(true);
    await dialog().getByLabel('Reason').fill('The harvest waits for this very fix');
    await confirm('Break glass');
    await page.getByText('broke the glass').waitFor();
    await eventually(async () => expect((await rollout(id)).waves[0]?.status).not.toBe('pending'));

    await pick('Wave 2: what can be done', 'Start wave now…');
    await dialog().getByText('begin now: past the order of waves').waitFor();
    await confirm('Start wave now');
    expect((await rollout(id)).waves[1]?.status).not.toBe('pending');

    await pick('More that can be done', 'Mark rolled back…');
    await dialog().getByText('For the record only').waitFor();
    await dialog().getByText('no other node starts').waitFor();
    await confirm('Mark rolled back');
    await page.locator('.page-title').getByText('rolled back').waitFor();
    expect((await rollout(id)).status).toBe('rolled_back');
  });
});

describe('a sink', () => {
  const shown = (id: string): Promise<Answer<'sinks.show'>> =>
    ok(stage.call('sinks.show', { params: { id } }));

  // Each refusal is tried three times, with pauses.
  it(
    'gives back what was refused: once more, or never; and what was long ago',
    { timeout: 120_000 },
    async () => {
      const { port } = receiver.address() as AddressInfo;
      const { id } = await ok(
        stage.call('sinks.create', {
          body: {
            name: 'Archive',
            kind: 'webhook',
            config: { url: `http://127.0.0.1:${port}/` },
          } as never,
        }),
      );
      const since = new Date(stage.clock.now() - 60_000);
      for (const name of ['lab-late-1', 'lab-late-2', 'lab-late-3']) {
        const node = await stage.node(stage.groups.lab, name);
        // What is taken shows that the receiver is well: only then one event is laid aside.
        await (await connectNode(stage, node)).close();
      }
      await eventually(async () => expect((await shown(id)).dead_letters).toBe(3), 60_000);

      await page.goto(`/sinks/${id}`);
      await page.getByRole('tab', { name: 'Dead letters (3)' }).click();
      await page.getByRole('checkbox', { name: 'Select this row' }).first().click({ force: true });
      await button('Let 1 go').click();
      await dialog().getByText('I know that this cannot be taken back').click();
      await confirm('Let go for good');
      await page.getByRole('tab', { name: 'Dead letters (2)' }).waitFor();

      heard.refuses = false;
      await button('Try all again').click();
      await confirm('Try again');
      await eventually(async () => expect((await shown(id)).dead_letters).toBe(0));
      expect(heard.enrolled).toBe(2);
      await page.getByRole('tab', { name: 'Dead letters (0)' }).waitFor();

      await pick('More', 'Deliver again from…');
      const local = await page.evaluate<string>(
        `new Date(${since.getTime()} - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 16)`,
      );
      await dialog().getByLabel('From').fill(local);
      await confirm('Deliver again');
      // The one that was let go comes, too.
      await eventually(() => {
        expect(heard.enrolled).toBeGreaterThanOrEqual(5);
        return Promise.resolve();
      });
    },
  );

  it('signs with another secret, which is shown once', async () => {
    await pick('More', 'Rotate the secret…');
    await dialog().getByLabel('Sign with both for').fill('721');
    await dialog().getByRole('button', { name: 'Rotate' }).click();
    await dialog().getByRole('alert').waitFor();
    await dialog().getByLabel('Sign with both for').fill('2');
    await dialog().getByRole('button', { name: 'Rotate' }).click();
    await dialog()
      .getByText(/^whsec_/)
      .waitFor();
    await dialog().getByText('requests carry signatures of both').waitFor();
    await confirm('I have it');
  });
});

describe('an alert', () => {
  it('is found and resolved', async () => {
    await page.getByRole('link', { name: 'Alerts', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor();
    const raised = page.getByRole('row').filter({ hasText: 'Rolled back' }).first();
    await raised.getByRole('button', { name: 'Resolve' }).click();
    await dialog().getByText('it is raised anew').waitFor();
    await confirm('Resolve');
    await eventually(async () => {
      const { items } = await ok(stage.call('alerts.list', { query: { state: 'resolved' } }));
      expect(items.map(({ rule }) => rule)).toContain('rolled_back');
    });
  });

  it('is found by who may only look, who cannot resolve it', async () => {
    const own = await startBrowser(stage.url);
    try {
      const seen = await own.open();
      await signIn(seen, 'vera');
      await seen.getByRole('link', { name: 'Alerts', exact: true }).click();
      await seen.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor();
      expect(await seen.getByRole('link', { name: 'Sinks', exact: true }).count()).toBe(0);
      expect(await seen.getByRole('button', { name: 'Resolve' }).count()).toBe(0);
      expect(own.errors).toEqual([]);
    } finally {
      await own.close();
    }
  });
});

describe('thousands of groups', () => {
  it('are all there, and one is found by typing', async () => {
    const { items } = await ok(stage.call('groups.list', { query: { limit: 500 } }));
    const [root] = items;
    if (root === undefined) throw new Error('there is one');
    const made = Array.from({ length: 2_000 }, (_, i) => ({
      ...{ ...root, id: `grp_many${i}`, name: `Site ${i}`, parent_id: root.id },
    }));
    const all = [...items, ...made];
    await page.route('**/api/v1/groups?*', async (route) => {
      const query = new URL(route.request().url()).searchParams;
      const from = Number(query.get('cursor') ?? 0);
      const to = from + Number(query.get('limit'));
      const next = to < all.length ? String(to) : null;
      await route.fulfill({ json: { items: all.slice(from, to), next_cursor: next } });
    });
    await page.goto('/groups');
    await page.getByText(`${all.length.toLocaleString('en')} groups`).waitFor();
    await page.getByRole('searchbox', { name: 'Search groups' }).fill('site 1987');
    await page.getByRole('link', { name: 'Site 1987' }).waitFor();

    await page.goto('/nodes');
    await page.getByRole('button', { name: /Group$/ }).click();
    await page.getByRole('searchbox', { name: 'Search: Group' }).fill('1987');
    await page.getByRole('option', { name: 'Site 1987' }).click();
    await page.waitForURL(/group=grp_many1987/);
    await page.unroute('**/api/v1/groups?*');
  });
});

describe('labels', () => {
  it('are asked for together, several at once', async () => {
    await page.goto('/nodes?label=site%3Dlab+rack%3Dr3');
    await page.getByRole('link', { name: 'lab-edge-02' }).waitFor();
    await page.getByText('1 row', { exact: true }).waitFor();
  });
});
