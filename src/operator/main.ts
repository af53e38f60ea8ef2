#!/usr/bin/env node
import { FleetError } from '../core/kernel/index.js';
import { makeLog } from '../agent/parts/index.js';
import { checkSurroundings } from './check.js';
import { readOperatorConfig, type OperatorConfig } from './config.js';
import { runOperator } from './operator.js';
import { openSurroundings } from './surroundings.js';
import { takeOut } from './take-out.js';

/** Wrong configuration: no use in starting it again as it is (sysexits: EX_CONFIG). */
const EXIT_CONFIG = 78;

const log = makeLog('info');

/** What is there and what is missing, a line each. */
async function check(): Promise<void> {
  const config = await readOperatorConfig(process.env);
  const around = await openSurroundings({ config, log, env: process.env }, () => false);
  const findings = await checkSurroundings(around);
  around.cluster.client.close();
  for (const { what, isFine, saw } of findings)
    console.log(isFine ? 'ok    ' : 'FAILED', what, saw);
  if (findings.some(({ isFine }) => !isFine)) process.exitCode = 1;
}

/** Before the operator is taken out of a cluster: every node that it made leaves the manager. */
async function decommissionAll(config: OperatorConfig): Promise<void> {
  const around = await openSurroundings({ config, log, env: process.env }, () => true);
  const { deployment, decommissionMs: limitMs } = config;
  try {
    const count = await takeOut(around, { deployment, limitMs });
    log('nodes were taken out of the manager', { count });
  } catch (error) {
    // A hook that fails would keep the chart from being deleted.
    if (!process.argv.includes('--best-effort')) throw error;
    log('nodes may be left in the manager; revoke them there', { error: String(error) });
  }
  around.cluster.client.close();
}

const stopOnSignal = (running: { stop(): Promise<void> }): void => {
  const end = (): void => {
    void running.stop().finally(() => process.exit(0));
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
};

async function main(): Promise<void> {
  if (process.argv.includes('--webhook')) {
    // Loaded by those who need it alone.
    const { readWebhookConfig } = await import('./webhook/config.js');
    const { runWebhook } = await import('./webhook/run.js');
    const config = await readWebhookConfig(process.env);
    const webhookLog = makeLog(config.operator.logLevel);
    stopOnSignal(await runWebhook({ config, log: webhookLog, env: process.env }));
    return;
  }
  const config = await readOperatorConfig(process.env);
  if (process.argv.includes('--decommission')) return decommissionAll(config);
  stopOnSignal(await runOperator({ config, log: makeLog(config.logLevel), env: process.env }));
}

const asked = process.argv.includes('--check') ? check() : main();
asked.catch((error: unknown) => {
  log('the operator cannot go on', {
    error: error instanceof Error ? error.message : String(error),
  });
  process.exit(error instanceof FleetError && error.code === 'config_invalid' ? EXIT_CONFIG : 1);
});
