import { open, stat } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { type AgentConfig, IDENTITY_FILE, KEY_FILE, readConfig } from '../config.js';
import { freeBytes, bootId, describeHost } from '../host.js';
import { readLinkNote } from '../link-note.js';
import { lockOwner } from '../lock.js';
import { readStatus } from './status.js';
import { runCommand, unitOf, type ServiceConfig } from '../supervisor/index.js';
import { AGENT_VERSION } from '../version.js';
import { redactAll } from './redact.js';
import { verifyNode } from './verify.js';

/** Of each log, the end. */
const LOG_LINES_MAX = 200;
const LOG_BYTES_MAX = 64 * 1024;
const COMMAND_TIMEOUT_MS = 10_000;
const AGENT_UNIT = 'bellwether-agent.service';
const UNIT_PROPERTIES = 'LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,MainPID';

/**
 * The facts of a node for a support case, as one value: what is configured, installed and going on, the
 * ends of the logs, disk, clock and units. Reads only, and holds no secret: keys are never opened, values
 * of `env`, arguments and whatever has the form of a secret are taken out, of logs too. What cannot be
 * found out is told as that; it throws nothing.
 */
export async function diagnose(dir: string): Promise<unknown> {
  const config = await readConfig(dir).catch((error: unknown) => String(error));
  const services = typeof config === 'string' ? [] : config.services;
  const facts = {
    schema: 'bellwether.diagnosis.v1',
    made_at: new Date().toISOString(),
    agent_version: AGENT_VERSION,
    host: {
      ...describeHost({}),
      boot_id: bootId(),
      uptime_secs: Math.round(uptime()),
      time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      clock_synchronized: await clockSynchronized(),
    },
    agent_pid: lockOwner(dir),
    link: readLinkNote(dir),
    config: typeof config === 'string' ? config : safeConfig(config),
    status: await readStatus(dir).catch((error: unknown) => String(error)),
    verify: await verifyNode(dir).catch((error: unknown) => String(error)),
    files: await Promise.all(
      [IDENTITY_FILE, KEY_FILE, 'agent.toml'].map((name) => about(dir, name)),
    ),
    disk: await disks(dir, services),
    units: await units(services),
    logs: await logs(services),
  };
  return redactAll(facts, secretsOf(services));
}

/** What is given to a service may be secret: its names are kept, its values are not. */
function safeConfig({ services, https_proxy: proxy, ...config }: AgentConfig): unknown {
  return {
    ...config,
    ...(proxy === undefined ? {} : { https_proxy: proxy === '' ? '' : new URL(proxy).host }),
    services: services.map(({ args, env, health, commands, hooks, ...service }) => ({
      ...service,
      hooks: Object.fromEntries(Object.entries(hooks).map(([at, one]) => [at, one.command[0]])),
      args: `${args.length} of them`,
      env: Object.keys(env),
      health:
        health.kind === 'command' ? { ...health, command: health.command.slice(0, 1) } : health,
      ...(commands === undefined ? {} : { commands: Object.keys(commands) }),
    })),
  };
}

/** Values that a service got and may have written into its log. */
const secretsOf = (services: readonly ServiceConfig[]): string[] =>
  services.flatMap(({ args, env }) => [
    ...Object.entries(env).flatMap(([name, value]) => (name === 'PATH' ? [] : [value])),
    ...args.flatMap((arg) => arg.split('=').slice(1)),
    ...args.filter((arg, at) => /^[^-/]/.test(arg) && args[at - 1]?.startsWith('-') === true),
  ]);

async function about(dir: string, name: string): Promise<unknown> {
  try {
    const { mode, uid, size, mtime } = await stat(join(dir, name));
    return { name, mode: (mode & 0o7777).toString(8), uid, size, changed_at: mtime.toISOString() };
  } catch (error) {
    return { name, problem: String((error as { code?: string }).code) };
  }
}

async function disks(dir: string, services: readonly ServiceConfig[]): Promise<unknown> {
  const paths = [dir, ...services.map(({ root }) => root)];
  return Promise.all(paths.map(async (path) => ({ path, free_bytes: await freeBytes(path) })));
}

const asLines = (text: string): string[] => text.split('\n').slice(-LOG_LINES_MAX);

/** What a program says; why not, where it cannot be asked. */
async function said(...command: string[]): Promise<string> {
  return runCommand(command, { timeoutMs: COMMAND_TIMEOUT_MS }).then(
    ({ output }) => output,
    (error: unknown) => String(error),
  );
}

const hasSystemd = (): Promise<boolean> =>
  stat('/run/systemd/system').then(
    () => true,
    () => false,
  );

async function clockSynchronized(): Promise<string | null> {
  if (!(await hasSystemd())) return null;
  return said('timedatectl', 'show', '--property=NTPSynchronized', '--value');
}

async function units(services: readonly ServiceConfig[]): Promise<unknown> {
  if (!(await hasSystemd())) return null;
  const names = services.filter(({ driver }) => driver === 'systemd').map(unitOf);
  return Promise.all(
    [AGENT_UNIT, ...names].map(async (name) => ({
      name,
      said: asLines(await said('systemctl', 'show', `--property=${UNIT_PROPERTIES}`, '--', name)),
    })),
  );
}

async function logs(services: readonly ServiceConfig[]): Promise<unknown> {
  const found: { name: string; lines: string[] }[] = [];
  for (const { name, root, driver } of services) {
    if (driver !== 'child') continue;
    const text = await endOf(join(root, 'log', 'service.log'));
    found.push({ name, lines: asLines(text) });
  }
  if (await hasSystemd()) {
    const journal = ['journalctl', '--no-pager', '--output=short-iso', `--lines=${LOG_LINES_MAX}`];
    found.push({ name: AGENT_UNIT, lines: asLines(await said(...journal, '-u', AGENT_UNIT)) });
  }
  return found;
}

async function endOf(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const bytes = Buffer.alloc(Math.min(size, LOG_BYTES_MAX));
      const { bytesRead } = await file.read(
        bytes,
        0,
        bytes.length,
        Math.max(0, size - bytes.length),
      );
      return bytes.subarray(0, bytesRead).toString('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    return `cannot be read (${String((error as { code?: string }).code)})`;
  }
}
