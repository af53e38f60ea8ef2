import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seriousFindings, signIn, startBrowser, type Browser } from './browser.js';
import { PAGES } from './pages.js';
import { startStage, type Stage } from './stage.js';

const FOLDER = process.env['BELLWETHER_SCREENS_DIR'] ?? 'screens';
/** Only pages whose name holds this. */
const ONLY = process.env['BELLWETHER_SCREENS_ONLY'] ?? '';
const LOOKS = [
  { name: 'light-1440', width: 1440, height: 900, colorScheme: 'light' },
  { name: 'dark-1440', width: 1440, height: 900, colorScheme: 'dark' },
  { name: 'light-380', width: 380, height: 800, colorScheme: 'light' },
  { name: 'dark-380', width: 380, height: 800, colorScheme: 'dark' },
] as const;

let stage: Stage;
beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  stage = await startStage();
});
afterAll(() => stage.stop());

describe.each(LOOKS)('$name', ({ name, ...look }) => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser(stage.url, look);
    await signIn(await browser.open());
  });
  afterAll(() => browser.close());

  it.each(PAGES.filter((page) => page.name.includes(ONLY)))(
    '$name',
    async ({ name: of, path, ready }) => {
      const page = await browser.open();
      await page.goto(path(stage));
      await ready(page);
      await page.waitForTimeout(700);
      // The window is as high as the page: what sticks to its edges is where a person has it.
      const whole = await page.evaluate<number>('document.documentElement.scrollHeight');
      await page.setViewportSize({ width: look.width, height: Math.max(look.height, whole) });
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(FOLDER, `${of}-${name}.png`), fullPage: true });
      // Nothing is wider than the window, but for what scrolls in its own frame.
      const spill = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
      expect(spill).toBeLessThanOrEqual(0);
      expect(await seriousFindings(page)).toEqual([]);
      expect(browser.errors.splice(0)).toEqual([]);
      await page.close();
    },
  );
});
