import type { Page } from 'playwright-core';
import type { Stage } from './stage.js';

export interface ShownPage {
  readonly name: string;
  readonly path: (stage: Stage) => string;
  /** What must be in view before a picture is taken. */
  readonly ready: (page: Page) => Promise<unknown>;
}

/** The title of the page is there. */
export const heading =
  (name: string | RegExp) =>
  (page: Page): Promise<unknown> =>
    page.getByRole('heading', { level: 1, name }).waitFor();
