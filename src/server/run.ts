import { FleetError } from '../core/kernel/index.js';
import { startManager, type Manager } from './manager.js';
import {
  configOfProcess,
  makeLogger,
  redactedConfig,
  VERSION,
  type Config,
} from './platform/index.js';
import type { Otel } from './telemetry/otel/index.js';

/** EX_CONFIG of sysexits.h: the service manager need not try again. */
const EXIT_CONFIG = 78;
/** What a shell gives for a program ended by a second Ctrl+C. */
const EXIT_INTERRUPTED = 130;
const SETUP_HOURS = 24;
/** What whoever starts the manager can mend: told in words, without a stack. */
const OF_OPERATOR = ['config_invalid', 'master_key_wrong'];

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Does one command, such as a backup, and leaves with its exit code. */
export async function runMaintenance(args: readonly string[]): Promise<void> {
  // Loaded only here: a manager that runs has no use for it.
  const { runCommand } = await import('./backup/index.js');
  process.exitCode = await runCommand(args, {
    config: configOfProcess,
    now: () => Date.now(),
    out: (text) => void process.stdout.write(text),
    err: process.stderr,
  });
}

/** Runs a manager until it is told to stop. The only place that ends the process. */
export async function runManager(): Promise<void> {
  try {
    const config = configOfProcess();
    const otel = await openTelemetry(config);
    const log = makeLogger(config.logLevel, otel?.sink);
    otel?.complainTo(log);
    const manager = await startManager({ config, log, clock: { now: () => Date.now() } });
    log.info({ config: redactedConfig(manager.config), version: VERSION }, 'manager started');
    say(greeting(manager));
    if (manager.setupToken !== null) say(setupBox(manager, manager.setupToken));
    stopOnSignals(async () => {
      await manager.stop();
      await otel?.stop();
    });
  } catch (error) {
    if (!(error instanceof FleetError) || !OF_OPERATOR.includes(error.code)) throw error;
    const lines = error.message.split('\n').map((line) => `  - ${line}`);
    const code = error.code === 'config_invalid' ? '' : ` (${error.code})`;
    process.stderr.write(
      `Bellwether cannot start${code}:\n${lines.join('\n')}\nNothing was started.\n`,
    );
    process.exit(EXIT_CONFIG);
  }
}

/** Loaded only when it is switched on: a manager without it pays neither memory nor time for it. */
async function openTelemetry({ otel }: Config): Promise<Otel | null> {
  if (otel === null) return null;
  const { startOtel } = await import('./telemetry/otel/index.js');
  return startOtel(otel);
}

function greeting({ config }: Manager): string {
  const database = config.databaseUrl === null ? `SQLite in ${config.dataDir}` : 'PostgreSQL';
  return [
    `Bellwether manager ${VERSION} listens on ${config.publicUrl}`,
    `  database: ${database}`,
    `  stop it with Ctrl+C`,
  ].join('\n');
}

function setupBox({ config, setupFile }: Manager, token: string): string {
  const lines = [
    'There is no admin yet. Open this page to make the first one:',
    '',
    `${config.publicUrl}/setup#${token}`,
    '',
    `The token in it works once, for ${SETUP_HOURS} hours, until the next start.`,
    `It also lies in ${setupFile}`,
  ];
  const width = Math.max(...lines.map((line) => line.length));
  const bar = '─'.repeat(width + 2);
  const body = { setup_token: token, name: 'first admin' };
  return [
    '',
    `┌${bar}┐`,
    ...lines.map((line) => `│ ${line.padEnd(width)} │`),
    `└${bar}┘`,
    'Without a browser, trade it for an admin token:',
    '',
    `curl -sS ${config.publicUrl}/api/v1/setup -H 'Content-Type: application/json' \\`,
    `  -d '${JSON.stringify(body)}'`,
    '',
  ].join('\n');
}

function stopOnSignals(stop: () => Promise<void>): void {
  let asked = false;
  const onSignal = (): void => {
    if (asked) process.exit(EXIT_INTERRUPTED);
    asked = true;
    say('Stopping: links are closed, answers under way are finished.');
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`Stopping failed: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}
