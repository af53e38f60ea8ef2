export {
  ApiProblem,
  makeClient,
  NoAnswer,
  refusalOf,
  type CallArguments,
  type CallOptions,
  type Client,
  type ClientOptions,
  type Given,
} from './client.js';
export { itemsOf, type PageOf } from './pages.js';
export { addressesOf, type RouteAddress, type RouteAddresses } from './routes.js';
export type { Answer, Call, Problem, RouteName } from '../protocol/api/index.js';
