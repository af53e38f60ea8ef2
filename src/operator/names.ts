import { createHash } from 'node:crypto';
import { keyOf, type WorkloadName } from '../core/workload/index.js';

/** A name for objects of the API that stands for one workload: 20 hex digits are enough for all there are. */
export const markOf = (of: WorkloadName): string =>
  createHash('sha256').update(keyOf(of)).digest('hex').slice(0, 20);

const NODE_NAME_MAX = 128;

/** What can be put into the name of a node. */
export const NAME_WORDS = /\{(cluster|workload)\}/g;

/**
 * How the manager shows it: unique in its cluster where the template has `{workload}` in it, and the same
 * after every start.
 */
export const nodeNameOf = (template: string, cluster: string, of: WorkloadName): string => {
  const name = template.replace(NAME_WORDS, (_, word: string) =>
    word === 'cluster' ? cluster : keyOf(of),
  );
  return name.length <= NODE_NAME_MAX ? name : `${name.slice(0, 107)}-${markOf(of)}`;
};

export const tokenHash = (token: string): string =>
  createHash('sha256').update(token).digest('hex');
