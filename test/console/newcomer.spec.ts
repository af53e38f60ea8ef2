import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentProgram } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { eventually, freePort, SERVICE } from '../support/fleet.js';
import { startBrowser, type Browser } from './browser.js';
import { PASSWORD } from './stage.js';
import { startUnsetManager, type UnsetManager } from './unset-manager.js';

/** What `npm run build` made: the same that a newcomer has. */
const PROGRAMS = fileURLToPath(new URL('../../dist/src', import.meta.url));
const WAIT_MS = 60_000;

const dir = makeTempDir();
let unset: UnsetManager;
let browser: Browser;
let page: Page;
let agent: ChildProcess | null = null;

beforeAll(async () => {
  unset = await startUnsetManager({ BELLWETHER_PERMIT_LEASE_MS: '2000' });
  browser = await startBrowser(unset.url);
  page = await browser.open();
  page.setDefaultTimeout(WAIT_MS);
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
});
afterAll(async () => {
  if (agent?.exitCode === null) {
    agent.kill('SIGTERM');
    await once(agent, 'exit');
  }
  await browser.close();
  await unset.stop();
  dir.remove();
});

const button = (name: string) => page.getByRole('button', { name, exact: true });
const title = (name: string) => page.getByRole('heading', { level: 1, name }).waitFor();

/** What is in the clipboard after its button was pressed. */
async function copied(label: string): Promise<string> {
  await button(`Copy ${label}`).click();
  await button('Copied').waitFor();
  const text = await page.evaluate('navigator.clipboard.readText()');
  await button('Copied').waitFor({ state: 'detached' });
  return String(text);
}

/** Runs a program to its end, as somebody at a terminal would; rejects with its words when it failed. */
const run = promisify(execFile);
const cli = (...args: string[]): Promise<unknown> =>
  run(process.execPath, [join(PROGRAMS, 'cli', 'main.js'), ...args]);

/** A release of the little service as a pipeline leaves it: a folder with everything signed. */
async function packRelease(version: string, sequence: number): Promise<string[]> {
  const source = join(dir.path, `source-${version}`);
  const out = join(dir.path, `release-${version}`);
  mkdirSync(join(source, 'bin'), { recursive: true });
  writeFileSync(join(source, 'bin', 'edge.cjs'), SERVICE, { mode: 0o755 });
  writeFileSync(join(source, 'release.json'), JSON.stringify({ version, healthy: true }));
  await cli(
    ...['release', 'pack', '--product', 'edge', '--version', version, '--channel', 'stable'],
    ...['--sequence', String(sequence), '--out', out],
    ...['--artifact', `linux/x64=${source}`, '--artifact', `linux/arm64=${source}`],
  );
  await cli('release', 'sign', '--key', join(dir.path, 'keys', 'pipeline.key'), out);
  return readdirSync(out).map((name) => join(out, name));
}

describe('a newcomer', () => {
  it('sets up, and enrolls a machine with the line that was shown', async () => {
    await page.goto(`/setup#${unset.setupToken}`);
    await title('Set up this manager');
    await page.getByLabel('Your name').fill('Ann Lee');
    await page.getByLabel('Login').fill('ann');
    await page.getByLabel('Password').fill(PASSWORD);
    await button('Make the first user').click();
    await title('Enrollment');
    await button('Make a token').click();
    const [name, ...words] = (await copied('the line for the machine')).split(' ');
    expect(name).toBe('bellwether-agent');

    // The line as it stands there, for a machine whose files lie in a folder of ours.
    const node = join(dir.path, 'node');
    const program = agentProgram(PROGRAMS);
    await run(program.file, [...program.args, ...words, '--dir', node, '--name', 'first-edge']);
    await page.getByText(/first-edge\s+is enrolled/).waitFor();

    // What the owner of the machine decides: which service, and whose signature counts. The page asks for it.
    await cli('release', 'keygen', '--out', join(dir.path, 'keys'), '--name', 'pipeline');
    const port = await freePort();
    const root = join(node, 'edge');
    await page.getByLabel('Product').fill('edge');
    await page.getByLabel('Program').fill('bin/edge.cjs');
    await page.getByLabel('Install root').fill(root);
    await page.getByLabel('Its environment').fill(`PORT=${port}`);
    await page.getByLabel('Asked whether it is well').fill(`http://127.0.0.1:${port}/health`);
    await page.getByLabel('Watched after each upgrade for').fill('6');
    const key = readFileSync(join(dir.path, 'keys', 'pipeline.pub'), 'utf8');
    await page.getByLabel('Public key of who signs').fill(key.trim().split('\n').at(-1) ?? '');

    // The files are what is there to copy, each where the page says.
    await page.getByText('At the end of /etc/bellwether/agent.toml').waitFor();
    appendFileSync(join(node, 'agent.toml'), `\n${await copied('the lines for agent.toml')}`);
    await page.getByText(`The file ${root}/policy.toml`).waitFor();
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, 'policy.toml'), await copied('the policy'), { mode: 0o640 });
    const [check = ''] = (await copied('the check')).split(' && ');
    const checked = await run(program.file, [
      ...[...program.args, ...check.split(' ').slice(1), '--dir', node],
    ]);
    expect(checked.stdout).toMatch(/edge: .*release pipeline/);
    agent = spawn(program.file, [...program.args, 'run', '--stop-services', '--dir', node], {
      stdio: 'ignore',
    });
    await page.getByText('It is connected').waitFor();
  });

  it.each([
    ['1.0.0', 1],
    ['1.1.0', 2],
  ] as const)(
    'publishes %s, upgrades the machine, and sees it happen',
    async (version, sequence) => {
      const files = await packRelease(version, sequence);
      await page.getByRole('link', { name: 'Releases', exact: true }).click();
      await title('Releases');
      await button('Upload a release').first().click();
      await page.getByLabel('Files of the release').setInputFiles(files);
      await page.getByText(`edge ${version} on stable`).waitFor();
      await button('Upload and publish').click();
      await page.waitForURL(/\/releases\/rel_/);

      await page.getByRole('link', { name: 'Nodes', exact: true }).click();
      await page.getByRole('link', { name: 'first-edge' }).click();
      await title('first-edge');
      await button('Upgrade…').click();
      await page
        .getByRole('dialog')
        .getByRole('button', { name: new RegExp(`^${version.replaceAll('.', '\\.')}`) })
        .click();
      await button(`Upgrade to ${version}`).click();
      await page.waitForURL(/\/rollouts\/rol_/);
      await page.getByRole('heading', { level: 1, name: `edge ${version}` }).waitFor();
      // Nobody loads the page again: it follows by itself to the end.
      await page.locator('.page-title').getByText('complete').waitFor();

      await page.getByRole('link', { name: 'Nodes', exact: true }).click();
      await page
        .getByRole('row', { name: /first-edge/ })
        .getByText(`edge ${version}`)
        .waitFor();
      await eventually(async () => {
        const port = /PORT = "(\d+)"/.exec(
          readFileSync(join(dir.path, 'node', 'agent.toml'), 'utf8'),
        );
        const answer = await fetch(`http://127.0.0.1:${port?.[1] ?? ''}/`);
        expect(await answer.text()).toBe(version);
      });
      expect(browser.errors.splice(0)).toEqual([]);
    },
  );
});
