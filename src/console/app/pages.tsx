import { lazy, useState, type ComponentType, type ReactNode } from 'react';
import { matchPath, type RouteObject } from 'react-router';

type Load = () => Promise<{ readonly default: ComponentType }>;

/**
 * A page is loaded when it is gone to: the first one is there soon. One whose file is here already is drawn at
 * once: what waits, if only for a moment, React shows 300 ms later.
 */
function page(path: string, load: Load): RouteObject {
  let here: ComponentType | null = null;
  const once: Load = async () => {
    const file = await load();
    here = file.default;
    return file;
  };
  const Later = lazy(once);
  const Component = (): ReactNode => {
    // Decided when the page comes, so that it stays the same as long as it is there.
    const [Here] = useState<ComponentType>(() => here ?? Later);
    return <Here />;
  };
  return path === '' ? { index: true, Component, handle: once } : { path, Component, handle: once };
}

/** Begins to load the page at an address, while somebody else still asks who is signed in. */
export function preload(pathname: string): void {
  const found = PAGES.find(({ path = '' }) => matchPath({ path: `/${path}` }, pathname) !== null);
  // What fails here fails again, and is told, when the page is drawn.
  void (found?.handle as Load)().catch(() => undefined);
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
