import { CHANGE_PAGES } from './change-pages.js';
import { EVIDENCE_PAGES } from './evidence-pages.js';
import { FLEET_PAGES } from './fleet-pages.js';
import { heading, type ShownPage } from './shown-page.js';

/** Every page of the console. */
export const PAGES: readonly ShownPage[] = [
  ...FLEET_PAGES,
  ...CHANGE_PAGES,
  ...EVIDENCE_PAGES,
  { name: 'not-found', path: () => '/nowhere', ready: heading('No such page') },
];
