import { heading, type ShownPage } from './shown-page.js';

export const FLEET_PAGES: readonly ShownPage[] = [
  { name: 'overview', path: () => '/', ready: heading('Overview') },
];
