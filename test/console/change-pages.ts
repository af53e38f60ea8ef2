import { heading, type ShownPage } from './shown-page.js';

export const CHANGE_PAGES: readonly ShownPage[] = [
  { name: 'rollouts', path: () => '/rollouts', ready: heading('Rollouts') },
];
