import type { Route, RouteName } from '../protocol/api/index.js';

/** What a caller needs to know of a route at run time. */
export type RouteAddress = Pick<Route, 'method' | 'path' | 'permission'>;
export type RouteAddresses = Readonly<Record<RouteName, RouteAddress>>;

/** The table without its schemas: some kilobytes in place of a library. */
export const addressesOf = (routes: Readonly<Record<RouteName, Route>>): RouteAddresses =>
  Object.fromEntries(
    Object.entries(routes).map(([name, { method, path, permission }]) => [
      name,
      { method, path, permission },
    ]),
  ) as unknown as RouteAddresses;
