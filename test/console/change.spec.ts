import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { manifestBytes, signMinisign, type Manifest } from '../../src/core/release/index.js';
import { makeTempDir } from '../support/databases.js';
import { makeSigningKey } from '../support/fleet.js';
import { signIn, startBrowser, type Browser } from './browser.js';
import { startStage, type Stage } from './stage.js';

/** The pages of the part “Change”, by hand: roll out, steer, look closely, release. */

let stage: Stage;
let browser: Browser;
let page: Page;
const folder = makeTempDir();

beforeAll(async () => {
  stage = await startStage();
  browser = await startBrowser(stage.url);
  page = await browser.open();
  await signIn(page);
}, 180_000);
afterAll(async () => {
  await browser.close();
  await stage.stop();
  folder.remove();
});
afterEach(() => expect(browser.errors.splice(0)).toEqual([]));

const button = (name: string | RegExp) => page.getByRole('button', { name, exact: true });
const choose = async (label: string, option: RegExp): Promise<void> => {
  await page.getByRole('button', { name: new RegExp(`${label}$`) }).click();
  await page.getByRole('option', { name: option }).click();
};
const waves = () => page.getByRole('textbox', { name: 'Waves' });
const sentence = (text: RegExp) => page.locator('.steer-sentence').filter({ hasText: text });

interface Shown {
  readonly status: string;
  readonly waves: readonly { readonly status: string }[];
}
const shown = async (id: string): Promise<Shown> => {
  const { body } = await stage.call('rollouts.show', { params: { id } });
  return body;
};

describe('a rollout from the form', () => {
  it('says at its field what is wrong, then shows the plan, and starts what was seen once', async () => {
    await page.goto('/rollouts/new');
    await choose('Product', /^edge/);
    await choose('Release', /^1\.2\.0/);
    await choose('Group', /Austin/);
    await waves().fill('50, 20');
    await button('Preview the plan').click();
    await page.locator('.field-error').filter({ hasText: /\S/ }).first().waitFor();
    expect(await waves().getAttribute('aria-invalid')).toBe('true');

    await waves().fill('20, 100');
    await button('Preview the plan').click();
    const plan = page.getByRole('region', { name: 'Plan' });
    await plan.getByText('Wave 2').waitFor();
    expect(await plan.innerText()).toMatch(/11\s+nodes are upgraded/);
    expect(await plan.innerText()).toContain('1.0.0 (11 nodes)');

    // What was seen is what is started: another plan wants another look.
    await waves().fill('30, 100');
    await page.getByText('preview again before you start').waitFor();
    expect(await button('Start rollout…').isDisabled()).toBe(true);
    await button('Preview again').click();
    await page.getByText('preview again before you start').waitFor({ state: 'detached' });
    await button('Start rollout…').click();
    await page.getByText('4 nodes go first; 7 nodes follow in 1 more wave.').waitFor();
    await button('Start rollout').dblclick();
    await page.waitForURL(/\/rollouts\/rol_/);
    const { body } = await stage.call('rollouts.list', {
      query: { group_id: stage.groups.austin },
    });
    expect(body).toHaveProperty('items.length', 1);
  });

  it('is paused in one click, and goes on after a look at what that means', async () => {
    await button('Pause').click();
    await sentence(/^It is paused/).waitFor();
    const id = page.url().split('/').at(-1) ?? '';
    expect((await shown(id)).status).toBe('paused');
    await button('Resume').click();
    await page.getByRole('dialog').getByText('go on wave by wave').waitFor();
    await button('Resume rollout').click();
    await sentence(/^It is under way/).waitFor();
    expect((await shown(id)).status).toBe('in_progress');
  });

  it('that somebody else ended meanwhile is told to who still wants to cancel it', async () => {
    const id = page.url().split('/').at(-1) ?? '';
    await button('More that can be done').click();
    await page.getByRole('menuitem', { name: 'Cancel…' }).click();
    await page.getByText('A cancelled rollout cannot go on').waitFor();
    await stage.call('rollouts.cancel', { params: { id } });
    await button('Cancel rollout').click();
    await page.getByRole('dialog').getByText('a rollout that is cancelled cannot take').waitFor();
    await button('Go back').click();
    await sentence(/^It was cancelled/).waitFor();
    await button('Pause').waitFor({ state: 'detached' });
  });
});

describe('the picture of the waves', () => {
  it('leads by keyboard to a node, with its name and why', async () => {
    await page.goto(`/rollouts/${stage.rollouts.paused}`);
    const first = page.getByRole('application').first();
    await first.focus();
    await page.keyboard.press('Home');
    await first.getByText(/^lab-edge-/).waitFor();
    await first.getByText('rolled back').first().waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/nodes\/nod_/);
  });

  it('has a legend that filters, and a table that says the same', async () => {
    await page.goto(`/rollouts/${stage.rollouts.paused}`);
    await page.getByRole('button', { name: 'rolled back 1' }).click();
    await page.waitForURL(/state=rolled_back/);
    const table = page.getByRole('table', { name: 'Nodes of this rollout' });
    await page.getByText('1 row', { exact: true }).waitFor();
    expect(await table.getByRole('row').count()).toBe(2);
    await table.getByRole('button', { name: 'Why not?' }).click();
    await page.getByRole('dialog').getByText('More nodes failed than the plan').waitFor();
    await button('Close').click();
  });

  it('leaves out a wave after it said what that means', async () => {
    await page.goto(`/rollouts/${stage.rollouts.paused}`);
    await button('Wave 2: what can be done').click();
    await page.getByRole('menuitem', { name: 'Skip wave…' }).click();
    await page.getByText('3 nodes keep what they run').waitFor();
    await button('Skip wave').click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect((await shown(stage.rollouts.paused)).waves[1]?.status).toBe('skipped');
  });
});

describe('a release', () => {
  const MB = 1024 * 1024;

  it('comes from a folder though its upload is cut, and stands there signed', async () => {
    const files = pack(folder.path, 10 * MB);
    await page.goto('/releases');
    await button('Upload a release').click();
    let pieces = 0;
    await page.route('**/api/v1/blobs/sha256/*', async (route) => {
      const isPiece = route.request().method() === 'PATCH';
      if (isPiece) pieces += 1;
      await (isPiece && pieces === 2 ? route.abort('connectionreset') : route.continue());
    });
    await page.getByLabel('Files of the release').setInputFiles([...files]);
    await page.getByText('edge 2.0.0 on beta').waitFor();
    await button('Upload and publish').click();
    await page.waitForURL(/\/releases\/rel_/, { timeout: 60_000 });
    await page.unroute('**/api/v1/blobs/sha256/*');
    // Three pieces, and one of them twice.
    expect(pieces).toBe(4);
    await page.getByRole('heading', { name: /^Signed by key [0-9A-F]{16}$/ }).waitFor();
    await page.getByText('bellwether release promote edge@2.0.0 --channel stable').waitFor();
  });

  it('is taken back with a reason and its version typed, and cannot be rolled out then', async () => {
    await button('Yank…').click();
    await page.getByLabel('Reason').fill('eats memory');
    await button('Next').click();
    expect(await button('Yank release').isDisabled()).toBe(true);
    await page.getByLabel('Type 2.0.0 to go on').fill('2.0.0');
    await button('Yank release').click();
    await page.getByText(/^Taken back .*eats memory/).waitFor();
    await page.getByRole('link', { name: 'Roll out…' }).waitFor({ state: 'detached' });
  });

  it('that changed after it was packed is found before a byte is sent', async () => {
    const files = pack(folder.path, 1_000);
    writeFileSync(files[2] ?? '', randomBytes(1_000));
    await page.goto('/releases');
    await button('Upload a release').click();
    await page.getByLabel('Files of the release').setInputFiles([...files]);
    await button('Upload and publish').click();
    await page.getByText('does not have the digest of the manifest').waitFor();
  });
});

describe('whoever may only look', () => {
  it('sees rollouts and nothing to press', async () => {
    const own = await startBrowser(stage.url, { width: 380 });
    try {
      const seen = await own.open();
      await signIn(seen, 'vera');
      await seen.goto(`/rollouts/${stage.rollouts.moving}`);
      await seen.getByRole('application').first().waitFor();
      const buttons = seen.getByRole('button', {
        name: /Pause|Resume|More that can be done|Approve…/,
      });
      expect(await buttons.count()).toBe(0);
      await seen.goto('/rollouts/new');
      await seen.getByText('You may not start rollouts').waitFor();
      expect(own.errors).toEqual([]);
    } finally {
      await own.close();
    }
  });
});

describe('the way back', () => {
  it('is a rollout of its own, also while the first one still runs', async () => {
    const first = stage.rollouts.moving;
    await page.goto(`/rollouts/${first}`);
    await button('More that can be done').click();
    await page.getByRole('menuitem', { name: 'Revert…' }).click();
    await page.getByText('This rollout is cancelled first', { exact: false }).waitFor();
    expect(await button('Revert').isDisabled()).toBe(true);
    await page.getByText(/^Bring \d+ nodes back to what they ran before$/).click();
    await button('Revert').click();
    await page.waitForURL((url) => url.pathname.includes('/rol_') && !url.href.includes(first));
    await page.getByRole('heading', { level: 1, name: 'edge 1.0.0' }).waitFor();
    const { body } = await stage.call('rollouts.show', { params: { id: first } });
    expect(body.status).toBe('cancelled');
  });
});

/** A release folder with one artifact of random bytes; gives the paths of its three files. */
function pack(dir: string, size: number): readonly string[] {
  const bytes = randomBytes(size);
  const file = `edge-2.0.0-${size}.tar.gz`;
  const manifest: Manifest = {
    schema: 'bellwether.manifest.v1',
    product: 'edge',
    version: size > 1_000 ? '2.0.0' : '2.0.1',
    channel: 'beta',
    released_at: '2026-11-21T08:00:00Z',
    sequence: size > 1_000 ? 20 : 21,
    artifacts: [
      {
        ...{ os: 'linux', arch: 'x64', variant: 'default', format: 'tar.gz', file, size },
        sha256: createHash('sha256').update(bytes).digest('hex'),
      },
    ],
  };
  const signed = manifestBytes(manifest);
  const signature = signMinisign(makeSigningKey().privateKey, signed, 'release 2.0.0');
  if (!signature.ok) throw new Error(signature.error.message);
  const path = (name: string): string => join(dir, name);
  writeFileSync(path('manifest.json'), signed);
  writeFileSync(path('manifest.json.pipeline.minisig'), signature.value);
  writeFileSync(path(file), bytes);
  return ['manifest.json', 'manifest.json.pipeline.minisig', file].map(path);
}
