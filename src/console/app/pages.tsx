import { lazy, type ComponentType } from 'react';
import { matchPath, type RouteObject } from 'react-router';

/** A page is loaded when it is gone to: the first one is there soon. */
const page = (
  path: string,
  load: () => Promise<{ readonly default: ComponentType }>,
): RouteObject =>
  path === ''
    ? { index: true, Component: lazy(load), handle: load }
    : { path, Component: lazy(load), handle: load };

/** Begins to load the page at an address, while somebody else still asks who is signed in. */
export function preload(pathname: string): void {
  const found = PAGES.find(({ path = '' }) => matchPath({ path: `/${path}` }, pathname) !== null);
  // What fails here fails again, and is told, when the page is drawn.
  void (found?.handle as () => Promise<unknown>)().catch(() => undefined);
}

/** Every address of the console behind the door, and the file of its page. */
export const PAGES: readonly RouteObject[] = [
  page('', () => import('../pages/fleet/overview.js')),
  page('nodes', () => import('../pages/fleet/nodes.js')),
  page('nodes/:id', () => import('../pages/fleet/node.js')),
  page('groups', () => import('../pages/fleet/groups.js')),
  page('groups/:id', () => import('../pages/fleet/group.js')),
  page('enrollment', () => import('../pages/fleet/enrollment.js')),
  page('releases', () => import('../pages/change/releases.js')),
  page('releases/:id', () => import('../pages/change/release.js')),
  page('rollouts', () => import('../pages/change/rollouts.js')),
  page('rollouts/new', () => import('../pages/change/new-rollout.js')),
  page('rollouts/:id', () => import('../pages/change/rollout.js')),
  page('plans', () => import('../pages/plans/plans.js')),
  page('events', () => import('../pages/evidence/events.js')),
  page('alerts', () => import('../pages/evidence/alerts.js')),
  page('audit', () => import('../pages/evidence/audit.js')),
  page('sinks', () => import('../pages/evidence/sinks.js')),
  page('sinks/:id', () => import('../pages/evidence/sink.js')),
  page('access', () => import('../pages/house/access.js')),
  page('settings', () => import('../pages/house/settings.js')),
  page('*', () => import('../pages/not-found.js')),
];
