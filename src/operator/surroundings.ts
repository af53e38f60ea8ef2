import { readFile } from 'node:fs/promises';
import { FleetError } from '../core/kernel/index.js';
import { openClock, reachFrom, type Log } from '../agent/parts/index.js';
import { PatchApplier } from './apply.js';
import type { OperatorConfig } from './config.js';
import { GitopsApplier } from './gitops.js';
import { KubeClient } from './kube/client.js';
import { Cluster } from './kube/cluster.js';
import { MountedPolicy } from './mounted-policy.js';
import type { Surroundings } from './workload-node.js';

export interface SurroundingsOptions {
  readonly config: OperatorConfig;
  readonly log: Log;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** What both the running operator and its commands stand on. Throws `config_invalid`. */
export async function openSurroundings(
  { config, log, env = {} }: SurroundingsOptions,
  mayAct: () => boolean,
): Promise<Surroundings> {
  const cluster = new Cluster(new KubeClient(config.kube));
  const file = config.managerCaFile;
  const settings = file === undefined ? {} : { manager_ca_file: file };
  const clock = openClock();
  const appliers = {
    operator: new PatchApplier(cluster),
    signal: new PatchApplier(cluster),
    gitops: new GitopsApplier({
      ...config.gitops,
      clusterName: config.clusterName,
      ...{ clock, mayAct, log },
    }),
  };
  return {
    config,
    cluster,
    log,
    mayAct,
    policy: new MountedPolicy(config.policyDir),
    reach: await reachFrom('/', settings, env),
    token: async () => {
      const token = (await readFile(config.tokenFile, 'utf8')).trim();
      if (token.length >= 16) return token;
      throw new FleetError('config_invalid', `${config.tokenFile} holds no token`);
    },
    applier: (mode) => appliers[mode],
    machines: () => new Map(),
    clock,
  };
}
