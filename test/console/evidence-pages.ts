import { heading, type ShownPage } from './shown-page.js';

export const EVIDENCE_PAGES: readonly ShownPage[] = [
  { name: 'events', path: () => '/events', ready: heading('Events') },
];
