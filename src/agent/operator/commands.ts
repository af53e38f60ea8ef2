import { spawn } from 'node:child_process';
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';
import { Version, type LocalControl } from '../../core/release/index.js';
import { readConfig } from '../config.js';
import { changeControl } from '../control-file.js';
import { createFile } from '../durable-files.js';
import { holdLock, lockOwner } from '../lock.js';
import { PolicyFile } from '../policy-file.js';
import { Spool, toSpoolEvent } from '../report/index.js';
import { openDriver, runCommand, SelfDriver, type ServiceConfig } from '../supervisor/index.js';
import { InstallRoot, rollBackOffline } from '../updater/index.js';
import { EXIT, UsageError } from '../usage-error.js';
import { ask, runsHere } from './client.js';
import { diagnose } from './diagnose.js';
import { forgetNode } from './forget.js';
import type { LocalRequest, Said } from './messages.js';
import { verifyNode } from './verify.js';

/** What the command line asked for. */
export interface Asked {
  readonly dir: string;
  /** Words after the command. */
  readonly rest: readonly string[];
  readonly service?: string | undefined;
  readonly now: boolean;
  readonly current: boolean;
  readonly yes: boolean;
  readonly force: boolean;
  readonly stopServices: boolean;
  readonly purge: boolean;
  readonly root?: string | undefined;
  readonly out?: string | undefined;
}

type Run = (asked: Asked) => Promise<number>;

/** Where the installer puts itself; `--root` of an image stands before it. */
const INSTALL_SCRIPT = 'usr/lib/bellwether/install.sh';
const AGENT_UNIT = 'bellwether-agent.service';
const SYSTEMCTL_TIMEOUT_MS = 60_000;
/** How long the agent may take to end after it said goodbye. */
const END_WAIT_MS = 10_000;

const say = (said: readonly Said[]): void => {
  for (const { service, message } of said) {
    console.log(service === null ? message : `${service}: ${message}`);
  }
};

/** The service that is meant, by word or option; null for all of them. */
function serviceOf({ rest, service }: Asked, at = 0): string | null {
  const word = rest[at];
  if (word !== undefined && service !== undefined && word !== service) {
    throw new UsageError(`${word} and --service ${service} are two services`);
  }
  return word ?? service ?? null;
}

async function servicesOf(dir: string, name: string | null): Promise<readonly ServiceConfig[]> {
  const { services } = await readConfig(dir);
  if (name === null) return services;
  const found = services.filter((service) => service.name === name);
  if (found.length > 0) return found;
  const known = services.map((service) => service.name).join(', ') || 'none';
  throw new UsageError(`agent.toml has no service ${name}; it has: ${known}`);
}

/** The one that is meant where only one can be. */
async function theService(asked: Asked, at = 0): Promise<ServiceConfig> {
  const services = await servicesOf(asked.dir, serviceOf(asked, at));
  const [service] = services;
  if (service === undefined) throw new UsageError('there is no service in agent.toml');
  if (services.length === 1) return service;
  throw new UsageError(
    `say which service is meant: ${services.map(({ name }) => name).join(', ')}`,
  );
}

async function askAndSay(asked: Asked, request: LocalRequest): Promise<number> {
  say(await ask(asked.dir, request));
  return EXIT.done;
}

const update: Run = async (asked) => {
  const service = serviceOf(asked);
  await servicesOf(asked.dir, service);
  return askAndSay(asked, { do: 'look', now: asked.now, service });
};

const apply: Run = async (asked) => {
  const { name } = await theService(asked);
  return askAndSay(asked, { do: 'apply', service: name });
};

/** By the agent where one runs; the same steps without one, under its lock. */
const rollback: Run = async (asked) => {
  const service = await theService(asked);
  if (runsHere(asked.dir)) return askAndSay(asked, { do: 'rollback', service: service.name });
  const unlock = holdLock(asked.dir);
  try {
    say([{ service: service.name, message: await rollBackAlone(asked.dir, service) }]);
  } finally {
    unlock();
  }
  const isSelf = service.driver === 'self';
  console.log(
    `no agent runs; ${isSelf ? 'start it' : 'the service was started; start the agent, too'}`,
  );
  return EXIT.done;
};

async function rollBackAlone(dir: string, service: ServiceConfig): Promise<string> {
  const policy = await new PolicyFile(service.root).read();
  const spool = await Spool.open(join(dir, 'spool'));
  try {
    return await rollBackOffline({
      service,
      // There is no agent whose end would start another one.
      driver:
        service.driver === 'self'
          ? new SelfDriver(service.root, () => undefined)
          : openDriver(service),
      policy: policy.ok ? policy.value : null,
      clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
      emit: (name, events) =>
        spool.append(
          events.flatMap((one) => {
            const event = toSpoolEvent(name, one);
            return event === null ? [] : [{ id: one.id, event }];
          }),
        ),
    });
  } finally {
    await spool.close();
  }
}

/** Writes the switch of each service, and has a running agent look at it. */
async function decide(
  asked: Asked,
  service: string | null,
  change: (config: ServiceConfig) => Promise<Partial<LocalControl>>,
): Promise<number> {
  for (const config of await servicesOf(asked.dir, service)) {
    const wanted = await change(config);
    await mkdir(config.root, { recursive: true, mode: 0o755 });
    say([{ service: config.name, message: inWords(await changeControl(config.root, wanted)) }]);
    await warn(config);
  }
  try {
    await ask(asked.dir, { do: 'reload', service });
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== 'agent_not_running') throw error;
    console.log(`${error.message}: this counts from its next start`);
  }
  return EXIT.done;
}

function inWords({ enabled, pin }: LocalControl): string {
  const what = pin === null ? 'any version that the policy allows' : `${pin} and no other version`;
  return enabled
    ? `may be upgraded to ${what}`
    : 'upgrades are switched off; a version that fails its probation is still turned back';
}

/** What stands in the way of what was just allowed. */
async function warn({ name, root }: ServiceConfig): Promise<void> {
  const policy = await new PolicyFile(root).read();
  if (!policy.ok) console.error(`${name}: ${policy.error.message}; every upgrade is refused`);
  else if (!policy.value.enabled) {
    console.error(`${name}: enabled = false in policy.toml; until that is changed nothing comes`);
  }
}

const pin: Run = async (asked) => {
  const [version] = asked.rest;
  if (asked.current) {
    return decide(asked, serviceOf(asked), async ({ name, root }) => {
      const runs = await new InstallRoot(root).linked('current');
      if (runs === null) throw new FleetError('not_found', `${name}: nothing is installed`);
      return { pin: runs };
    });
  }
  if (version === undefined) throw new UsageError('pin needs a VERSION, or --current');
  const parsed = Version.safeParse(version);
  if (!parsed.success) throw new UsageError(`${version} is not a version, such as 1.4.0`);
  const { name } = await theService(asked, 1);
  return decide(asked, name, () => Promise.resolve({ pin: parsed.data }));
};

const decideAll =
  (change: Partial<LocalControl>): Run =>
  (asked) =>
    decide(asked, serviceOf(asked), () => Promise.resolve(change));

const verify: Run = async (asked) => {
  const service = serviceOf(asked);
  await servicesOf(asked.dir, service);
  const found = await verifyNode(asked.dir, service);
  for (const { service: name, fine, problems } of found) {
    const who = name ?? 'node';
    console.log(`${who}: ${problems.length === 0 ? 'fine' : 'NOT FINE'}: ${fine.join(', ')}`);
    for (const problem of problems) console.log(`${who}: problem: ${problem}`);
  }
  return found.every(({ problems }) => problems.length === 0) ? EXIT.done : EXIT.failed;
};

const diagnosis: Run = async ({ dir, out }) => {
  const text = `${JSON.stringify(await diagnose(dir), null, 1)}\n`;
  if (out === undefined) process.stdout.write(text);
  else await createFile(out, text, 0o600);
  return EXIT.done;
};

/** Tells the manager through the agent; without one only by force. Safe to repeat until it is done. */
const decommission: Run = async ({ dir, yes, force, stopServices }) => {
  if (!yes) {
    throw new UsageError(
      'decommission removes key, identity and spool of this node: say --yes if that is meant',
    );
  }
  const pid = lockOwner(dir);
  if (pid !== null) {
    const underSystemd = await isUnit(pid);
    say(await ask(dir, { do: 'decommission', stop_services: stopServices, force }));
    await endAgent(dir, pid, underSystemd);
  } else {
    await leaveAlone(dir, { force, stopServices });
  }
  const services = stopServices ? 'services were stopped' : 'services go on';
  console.log(`this machine is no node any more; ${services}, and agent.toml stays.`);
  console.log('Revoke the node at the manager, so that a copy of its key is worth nothing.');
  return EXIT.done;
};

/** Asked before the agent ends: afterwards its unit knows no process any more. */
async function isUnit(pid: number): Promise<boolean> {
  const show = ['systemctl', 'show', '--property=MainPID', '--value', '--', AGENT_UNIT];
  const main = await runCommand(show, { timeoutMs: SYSTEMCTL_TIMEOUT_MS }).catch(() => null);
  return main?.output === String(pid);
}

/** An agent under systemd would be started again; `disable` ends that. */
async function endAgent(dir: string, pid: number, underSystemd: boolean): Promise<void> {
  if (underSystemd) {
    const end = ['systemctl', 'disable', '--quiet', '--now', '--', AGENT_UNIT];
    await runCommand(end, { timeoutMs: SYSTEMCTL_TIMEOUT_MS });
  }
  const untilMs = performance.now() + END_WAIT_MS;
  while (lockOwner(dir) === pid && performance.now() < untilMs) await sleep(50);
}

async function leaveAlone(
  dir: string,
  { force, stopServices }: { readonly force: boolean; readonly stopServices: boolean },
): Promise<void> {
  const isNode = await readFile(join(dir, 'identity.json')).then(
    () => true,
    () => false,
  );
  if (isNode && !force) {
    const message = 'no agent runs, so the manager cannot be told; --force leaves without';
    throw new FleetError('agent_not_running', message);
  }
  const unlock = holdLock(dir);
  try {
    if (stopServices) await stopAll(await servicesOf(dir, null));
    await forgetNode(dir);
  } finally {
    unlock();
  }
}

async function stopAll(services: readonly ServiceConfig[]): Promise<void> {
  for (const service of services) {
    if (service.driver === 'self') continue;
    const driver = openDriver(service);
    await driver.adopt();
    await driver.stop();
  }
}

/** The installer knows what it has put where; it is what takes that away. */
const uninstall: Run = async ({ yes, purge, root }) => {
  const script = join(root ?? '/', INSTALL_SCRIPT);
  const options = [
    '--uninstall',
    ...(purge ? ['--purge'] : []),
    ...(root === undefined ? [] : ['--root', root]),
  ];
  const command = `sh install.sh ${options.join(' ')}`;
  const isThere = await access(script).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    console.error(
      `bellwether-agent: ${script} is not there. Take install.sh from the release and run: ${command}`,
    );
    return EXIT.failed;
  }
  if (!yes) throw new UsageError(`uninstall runs: sh ${script} ${options.join(' ')}; say --yes`);
  const child = spawn('sh', [script, ...options], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      resolve(code ?? EXIT.failed);
    });
  });
};

/** The commands of people on a node, by their names. */
export const OPERATOR_COMMANDS = {
  update,
  pin,
  unpin: decideAll({ pin: null }),
  enable: decideAll({ enabled: true }),
  disable: decideAll({ enabled: false }),
  apply,
  rollback,
  verify,
  diagnose: diagnosis,
  decommission,
  uninstall,
} as const satisfies Record<string, Run>;
