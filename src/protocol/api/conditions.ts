import { ROUTES, type Route, type RouteName } from './routes.js';

const SHOWN = [
  'users.show',
  'groups.show',
  'groups.switch',
  'nodes.show',
  'releases.show',
  'rollouts.show',
  'sinks.show',
  'plans.show',
  'schedules.show',
] as const satisfies readonly RouteName[];
export type Shown = (typeof SHOWN)[number];

/** The routes that show one thing that people change, and tell its ETag. */
export const isShown = (name: RouteName): name is Shown =>
  (SHOWN as readonly RouteName[]).includes(name);

/** For each route that changes one thing: the route that shows it, under the same parameters. */
export const CURRENT: Readonly<Partial<Record<RouteName, Shown>>> = {
  'users.update': 'users.show',
  'users.disable': 'users.show',
  'users.enable': 'users.show',
  'users.reset_factor': 'users.show',
  'groups.change': 'groups.show',
  'groups.remove': 'groups.show',
  'groups.set_quota': 'groups.show',
  'groups.set_switch': 'groups.switch',
  'nodes.revoke': 'nodes.show',
  'nodes.upgrade': 'nodes.show',
  'releases.yank': 'releases.show',
  'rollouts.revert': 'rollouts.show',
  'rollouts.mark_rolled_back': 'rollouts.show',
  'rollouts.retry_failed': 'rollouts.show',
  'rollouts.approve': 'rollouts.show',
  'rollouts.break_glass': 'rollouts.show',
  'rollouts.skip_wave': 'rollouts.show',
  'rollouts.start_wave': 'rollouts.show',
  'rollouts.mark_done': 'rollouts.show',
  'rollouts.pause': 'rollouts.show',
  'rollouts.resume': 'rollouts.show',
  'rollouts.cancel': 'rollouts.show',
  'sinks.change': 'sinks.show',
  'sinks.remove': 'sinks.show',
  'sinks.rotate_secret': 'sinks.show',
  'sinks.pause': 'sinks.show',
  'sinks.resume': 'sinks.show',
  'sinks.backfill': 'sinks.show',
  'plans.change': 'plans.show',
  'plans.remove': 'plans.show',
  'schedules.change': 'schedules.show',
  'schedules.pause': 'schedules.show',
  'schedules.resume': 'schedules.show',
  'schedules.remove': 'schedules.show',
};

/** Routes that make something new for whoever is known: they take an `Idempotency-Key`. */
export function makesSomething(name: RouteName): boolean {
  const { method, status, permission }: Route = ROUTES[name];
  const isMade = method === 'POST' && (status === 201 || status === 202);
  return isMade && permission !== 'public' && permission !== 'node';
}
