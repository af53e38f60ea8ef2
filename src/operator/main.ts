#!/usr/bin/env node
import { FleetError } from '../core/kernel/index.js';
import { readOptIn, WORKLOAD_KINDS } from '../core/workload/index.js';
import { makeLog } from '../agent/parts/index.js';
import { readOperatorConfig, type OperatorConfig } from './config.js';
import { openSurroundings, runOperator } from './operator.js';
import { WorkloadNode } from './workload-node.js';

/** Wrong configuration: no use in starting it again as it is (sysexits: EX_CONFIG). */
const EXIT_CONFIG = 78;

const log = makeLog('info');

/** Before the operator is taken out of a cluster: every node that it made leaves the manager. */
async function decommissionAll(config: OperatorConfig): Promise<void> {
  const around = await openSurroundings({ config, log, env: process.env }, () => true);
  for (const kind of WORKLOAD_KINDS) {
    const { items } = await around.cluster.workloads(kind, config.watchNamespace);
    for (const view of items) {
      const optIn = readOptIn(view, config.mode);
      if (optIn?.ok === true) await new WorkloadNode(around, view, optIn.value).remove();
    }
  }
  around.cluster.client.close();
}

async function main(): Promise<void> {
  const config = await readOperatorConfig(process.env);
  if (process.argv.includes('--decommission')) return decommissionAll(config);
  const operator = await runOperator({ config, log: makeLog(config.logLevel), env: process.env });
  const end = (): void => {
    void operator.stop().finally(() => process.exit(0));
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

main().catch((error: unknown) => {
  log('the operator cannot go on', {
    error: error instanceof Error ? error.message : String(error),
  });
  process.exit(error instanceof FleetError && error.code === 'config_invalid' ? EXIT_CONFIG : 1);
});
