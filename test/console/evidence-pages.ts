import { heading, type ShownPage } from './shown-page.js';

export const EVIDENCE_PAGES: readonly ShownPage[] = [
  { name: 'events', path: () => '/events', ready: heading('Events') },
  { name: 'audit', path: () => '/audit', ready: heading('Audit') },
  { name: 'sinks', path: () => '/sinks', ready: heading('Sinks') },
  { name: 'alerts', path: () => '/alerts', ready: heading('Alerts') },
  {
    name: 'sink',
    path: ({ sink }) => `/sinks/${sink}`,
    ready: heading('SIEM of the night shift'),
  },
  { name: 'access-people', path: () => '/access', ready: heading('Access') },
  { name: 'access-members', path: () => '/access?tab=members', ready: heading('Access') },
  { name: 'access-invitations', path: () => '/access?tab=invitations', ready: heading('Access') },
  { name: 'access-tokens', path: () => '/access?tab=tokens', ready: heading('Access') },
  { name: 'access-roles', path: () => '/access?tab=roles', ready: heading('Access') },
  { name: 'settings-account', path: () => '/settings', ready: heading('Settings') },
  { name: 'settings-manager', path: () => '/settings?tab=manager', ready: heading('Settings') },
];
