import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import { PASSWORD } from './stage.js';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where a browser is; specs of pages cannot run without one. */
export function browserPath(): string {
  const found = CHROMIUM.find((path) => existsSync(path));
  if (found === undefined) throw new Error('no Chromium here: install the package `chromium`');
  return found;
}

export interface Browser {
  readonly context: BrowserContext;
  /** A page whose errors make the spec fail: what it writes to its console, and what it throws. */
  open(): Promise<Page>;
  /** What went wrong in pages so far. */
  readonly errors: string[];
  close(): Promise<void>;
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly colorScheme?: 'light' | 'dark';
}

/** A browser with a profile of its own, which is removed with it. */
export async function startBrowser(baseURL: string, look: Look = {}): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'bellwether-chromium-'));
  const errors: string[] = [];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: browserPath(),
    headless: true,
    baseURL,
    viewport: { width: look.width ?? 1440, height: look.height ?? 900 },
    colorScheme: look.colorScheme ?? 'light',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  context.setDefaultTimeout(30_000);
  return {
    context,
    errors,
    open: async () => {
      const page = await context.newPage();
      page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.message}`));
      page.on('console', (message) => {
        // A refused request is told by the page in its own words.
        const isRefusal = message.text().startsWith('Failed to load resource');
        if (message.type() === 'error' && !isRefusal)
          errors.push(`${page.url()}: ${message.text()}`);
      });
      return page;
    },
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

export async function signIn(page: Page, login = 'ann'): Promise<void> {
  await page.goto('/');
  await page.getByLabel('Login').fill(login);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  // In a narrow window it is behind a button.
  const pages = page.getByRole('navigation', { name: 'Pages', includeHidden: true });
  await pages.waitFor({ state: 'attached' });
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly nodes: readonly {
    readonly target: readonly unknown[];
    readonly failureSummary?: string;
  }[];
}

/**
 * What axe finds on a page, of those findings that keep people out. It is brought in by the debugger: our
 * policy lets no script in that is not ours.
 */
export async function seriousFindings(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  const evaluate = async (expression: string): Promise<unknown> => {
    const given = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', given);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  await evaluate(`${AXE};0`);
  const found = (await evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(TAGS)} }).then((all) => all.violations)`,
  )) as readonly Finding[];
  await session.detach();
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => {
      const where = nodes.map((node) => `${node.target.join(' ')} ${node.failureSummary ?? ''}`);
      return `${id}: ${help}: ${where.slice(0, 3).join('; ')}`;
    });
}
