import { createHash } from 'node:crypto';
import { keyOf, type WorkloadName } from '../core/workload/index.js';

/** A name for objects of the API that stands for one workload: 20 hex digits are enough for all there are. */
export const markOf = (of: WorkloadName): string =>
  createHash('sha256').update(keyOf(of)).digest('hex').slice(0, 20);

const NODE_NAME_MAX = 128;

/** How the manager shows it: unique in its cluster, and the same after every start. */
export const nodeNameOf = (cluster: string, of: WorkloadName): string => {
  const name = `${cluster}/${keyOf(of)}`;
  return name.length <= NODE_NAME_MAX ? name : `${name.slice(0, 107)}-${markOf(of)}`;
};

export const tokenHash = (token: string): string =>
  createHash('sha256').update(token).digest('hex');
