#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FleetError } from '../core/kernel/index.js';
import { UpdateState } from '../core/update/index.js';
import { ERRORS, isErrorCode } from '../protocol/index.js';
import { readConfig, readIdentity } from './config.js';
import { enroll } from './enroll.js';
import { log } from './log.js';
import { readPolicy } from './policy-file.js';
import { run } from './run.js';
import { faultsFrom } from './updater/index.js';
import { AGENT_VERSION } from './version.js';

/** 0 done; 1 failed; 2 wrong usage; 3 the manager cannot be reached; 78 wrong configuration. */
const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3, config: 78 } as const;

const USAGE = `bellwether-agent ${AGENT_VERSION}

  enroll --manager URL --token TOKEN [--name NAME] [--label KEY=VALUE ...] [--allow-plaintext]
  run [--stop-services]       run until stopped; services keep running unless told otherwise
  status [--json]             what is installed and what is going on
  policy check                is every local policy readable, and what does it allow
  version

  --dir DIR   where this agent keeps its files (default /etc/bellwether)
`;
const COMMANDS = ['enroll', 'run', 'status', 'policy', 'version'];

class UsageError extends Error {}

function parse(argv: readonly string[]): {
  command: string;
  rest: string[];
  options: ReturnType<typeof parseOptions>['values'];
} {
  let parsed: ReturnType<typeof parseOptions>;
  try {
    parsed = parseOptions(argv);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const [command = '', ...rest] = parsed.positionals;
  if (!COMMANDS.includes(command)) {
    const near = COMMANDS.find((one) => command !== '' && one.startsWith(command[0] ?? ''));
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    throw new UsageError(command === '' ? 'say what to do' : `no command ${command}${hint}`);
  }
  return { command, rest, options: parsed.values };
}

const parseOptions = (argv: readonly string[]) =>
  parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      dir: { type: 'string', default: '/etc/bellwether' },
      manager: { type: 'string' },
      token: { type: 'string' },
      name: { type: 'string' },
      label: { type: 'string', multiple: true, default: [] },
      'allow-plaintext': { type: 'boolean', default: false },
      'stop-services': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });

type Options = ReturnType<typeof parse>['options'];

async function main(argv: readonly string[]): Promise<number> {
  const { command, rest, options } = parse(argv);
  switch (command) {
    case 'enroll':
      return enrollCommand(options);
    case 'run':
      return runCommand(options);
    case 'status':
      return statusCommand(options);
    case 'policy':
      if (rest[0] !== 'check') throw new UsageError('policy knows only `policy check`');
      return policyCommand(options);
    default:
      console.log(AGENT_VERSION);
      return EXIT.done;
  }
}

async function enrollCommand(options: Options): Promise<number> {
  const { manager, token } = options;
  if (manager === undefined || token === undefined) {
    throw new UsageError('enroll needs --manager and --token');
  }
  if (!URL.canParse(manager)) throw new UsageError(`--manager ${manager} is not an address`);
  const labels = Object.fromEntries(
    options.label.map((text) => {
      const cut = text.indexOf('=');
      if (cut < 1) throw new UsageError(`--label ${text}: write KEY=VALUE`);
      return [text.slice(0, cut), text.slice(cut + 1)];
    }),
  );
  const node = await enroll({
    manager,
    token,
    name: options.name ?? hostname(),
    dir: options.dir,
    labels,
    allowPlaintext: options['allow-plaintext'],
  });
  console.log(`Enrolled as ${node.name} (${node.node_id}).`);
  console.log(`Now describe the services in ${join(options.dir, 'agent.toml')},`);
  console.log('write a policy.toml into each install root, and start: bellwether-agent run');
  return EXIT.done;
}

async function runCommand(options: Options): Promise<number> {
  const agent = await run(options.dir, faultsFrom(process.env['BELLWETHER_FAULT']));
  return new Promise((resolve) => {
    const stop = (): void => {
      agent.stop(options['stop-services']).then(
        () => {
          resolve(EXIT.done);
        },
        (error: unknown) => {
          log('stop failed', { error: String(error) });
          resolve(EXIT.failed);
        },
      );
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  });
}

async function statusCommand(options: Options): Promise<number> {
  const config = await readConfig(options.dir);
  const { identity } = await readIdentity(options.dir);
  const services = [];
  for (const { name, root } of config.services) {
    const text = await readFile(join(root, 'state.json'), 'utf8').catch(() => '{}');
    const parsed = UpdateState.safeParse(JSON.parse(text));
    services.push({ name, root, state: parsed.success ? parsed.data : null });
  }
  if (options.json) {
    console.log(JSON.stringify({ node: identity, manager: config.manager, services }, null, 2));
    return EXIT.done;
  }
  console.log(`node     ${identity.name} (${identity.node_id})`);
  console.log(`manager  ${config.manager}`);
  for (const { name, state } of services) {
    console.log(`\n${name}`);
    console.log(`  version   ${state?.current?.version ?? 'none'}`);
    console.log(`  previous  ${state?.previous?.version ?? 'none'}`);
    const { job, outcome } = state ?? { job: null, outcome: null };
    console.log(`  doing     ${job === null ? 'nothing' : `${job.phase} ${job.version}`}`);
    if (outcome !== null) {
      const why = outcome.error_code === null ? '' : ` (${outcome.error_code})`;
      console.log(`  last      ${outcome.version} ${outcome.result}${why} at ${outcome.at}`);
    }
  }
  return EXIT.done;
}

async function policyCommand(options: Options): Promise<number> {
  const config = await readConfig(options.dir);
  let isFine = true;
  for (const { name, root } of config.services) {
    const policy = await readPolicy(root);
    if (policy.ok) {
      const { enabled, allowed_channels, signers, threshold } = policy.value;
      const who = signers.map((signer) => signer.name).join(', ') || 'nobody';
      const what = enabled ? `${threshold} of: ${who}; ${allowed_channels.join(', ')}` : 'disabled';
      console.log(`${name}: ${what}`);
    } else {
      isFine = false;
      console.error(`${name}: ${policy.error.message}`);
    }
  }
  return isFine ? EXIT.done : EXIT.config;
}

function exitCodeOf(error: FleetError): number {
  if (error.code === 'config_invalid') return EXIT.config;
  return error.code === 'unavailable' ? EXIT.unreachable : EXIT.failed;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    if (error instanceof UsageError) {
      console.error(`bellwether-agent: ${error.message}\n\n${USAGE}`);
      process.exitCode = EXIT.usage;
    } else if (error instanceof FleetError) {
      const fix = isErrorCode(error.code) ? ` ${ERRORS[error.code].fix}` : '';
      console.error(`bellwether-agent: ${error.code}: ${error.message}.${fix}`);
      process.exitCode = exitCodeOf(error);
    } else {
      console.error(error);
      process.exitCode = EXIT.failed;
    }
  },
);
