import { hostname } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FleetError } from '../core/kernel/index.js';
import { ERRORS, isErrorCode } from '../protocol/index.js';
import { nearest } from './nearest.js';
import type { OPERATOR_COMMANDS } from './operator/commands.js';
import { printable } from './operator/printable.js';
import { EXIT, UsageError } from './usage-error.js';
import { AGENT_VERSION } from './version.js';

export { EXIT };

const USAGE = `bellwether-agent ${AGENT_VERSION}

  enroll --manager URL --token TOKEN [--name NAME] [--label KEY=VALUE ...] [--allow-plaintext]
         [--manager-url URL ...] [--manager-ca-file FILE] [--manager-pin sha256//... ...]
         [--https-proxy URL] [--cluster NAME]
                              make this machine a node; --cluster: of that Kubernetes cluster, by its token
  run [--stop-services]       run until stopped; services go on running unless told otherwise
  status [--json] [--is-up-to-date]
                              what is installed and what is going on; exit code 6 when something is under way
  update [--now] [SERVICE]    look again for what the manager wants; --now: without waiting, nor for the local
                              maintenance window
  apply [SERVICE]             let a version go that waits for a hand (manual_only)
  rollback [SERVICE]          go back to the version before; works without a running agent, too
  pin VERSION|--current [SERVICE]
                              take this version and no other
  unpin [SERVICE]             take any version that the policy allows
  disable [SERVICE]           install nothing until \`enable\`
  enable [SERVICE]
  verify [SERVICE]            is all that is installed as it was signed, and nothing half
  diagnose [--out FILE]       the facts for a support case, without secrets
  policy check [--service S]  is every local policy readable, what does it allow, and can every hook be run
  policy show [--service S]   every setting as it counts
  policy update FILE [--service S]
                              replace the policy by a signed one; FILE.*.minisig lie beside it
  decommission --yes [--force] [--stop-services]
                              tell the manager goodbye; remove key, identity and spool
  uninstall --yes [--purge] [--root DIR]
                              take the agent off this machine, as install.sh --uninstall does
  version

  --dir DIR   where this agent keeps its files (default /etc/bellwether)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the manager cannot be reached, 4 no agent runs or answers,
5 refused as things are: nothing was changed, 6 not up to date, 78 wrong configuration.
`;
const OWN_COMMANDS = ['enroll', 'run', 'status', 'policy', 'version', 'help'] as const;
type OwnCommand = (typeof OWN_COMMANDS)[number];
type OperatorCommand = keyof typeof OPERATOR_COMMANDS;
type CommandName = OwnCommand | OperatorCommand;
/**
 * How many words each of the other commands takes. What a command needs is loaded when it is asked for: an
 * agent that runs for months holds none of it.
 */
const WORDS_OF = {
  update: 1,
  pin: 2,
  unpin: 1,
  enable: 1,
  disable: 1,
  apply: 1,
  rollback: 1,
  verify: 1,
  diagnose: 0,
  decommission: 0,
  uninstall: 0,
} as const satisfies Record<OperatorCommand, number>;
const COMMANDS = [...OWN_COMMANDS, ...(Object.keys(WORDS_OF) as OperatorCommand[])] as const;

const OPTIONS = {
  dir: { type: 'string', default: '/etc/bellwether' },
  manager: { type: 'string' },
  token: { type: 'string' },
  name: { type: 'string' },
  label: { type: 'string', multiple: true, default: [] as string[] },
  'allow-plaintext': { type: 'boolean', default: false },
  'manager-url': { type: 'string', multiple: true },
  'manager-ca-file': { type: 'string' },
  'manager-pin': { type: 'string', multiple: true },
  'https-proxy': { type: 'string' },
  cluster: { type: 'string' },
  'stop-services': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  service: { type: 'string' },
  now: { type: 'boolean', default: false },
  current: { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
  force: { type: 'boolean', default: false },
  purge: { type: 'boolean', default: false },
  root: { type: 'string' },
  out: { type: 'string' },
  'is-up-to-date': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** Which options mean something to which command, besides `--dir` and `--help`. */
const OPTIONS_OF: Readonly<Record<CommandName, readonly (keyof typeof OPTIONS)[]>> = {
  enroll: [
    ...(['manager', 'token', 'name', 'label', 'allow-plaintext'] as const),
    ...(['manager-url', 'manager-ca-file', 'manager-pin', 'https-proxy', 'cluster'] as const),
  ],
  run: ['stop-services'],
  status: ['json', 'is-up-to-date'],
  policy: ['service'],
  update: ['now', 'service'],
  pin: ['current', 'service'],
  unpin: ['service'],
  enable: ['service'],
  disable: ['service'],
  apply: ['service'],
  rollback: ['service'],
  verify: ['service'],
  diagnose: ['out'],
  decommission: ['yes', 'force', 'stop-services'],
  uninstall: ['yes', 'purge', 'root'],
  version: [],
  help: [],
};

const parseOptions = (argv: readonly string[]) =>
  parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS, tokens: true });
type Options = ReturnType<typeof parseOptions>['values'];

interface Parsed {
  readonly command: CommandName;
  readonly rest: readonly string[];
  readonly options: Options;
}

function parse(argv: readonly string[]): Parsed {
  let parsed: ReturnType<typeof parseOptions>;
  try {
    parsed = parseOptions(argv);
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n')[0]);
  }
  const { values: options, positionals, tokens } = parsed;
  const [word = options.help ? 'help' : '', ...rest] = positionals;
  const command = COMMANDS.find((one) => one === word);
  if (command === undefined) {
    const near = word === '' ? null : nearest(word, COMMANDS);
    const hint = near === null ? '' : `; did you mean ${near}?`;
    throw new UsageError(word === '' ? 'say what to do' : `there is no command ${word}${hint}`);
  }
  for (const token of tokens) {
    if (token.kind !== 'option' || token.name === 'dir' || token.name === 'help') continue;
    if (!(OPTIONS_OF[command] as readonly string[]).includes(token.name)) {
      throw new UsageError(`${command} knows no option ${token.rawName}`);
    }
  }
  const restMax = wordsOf(command, options.current);
  if (rest.length > restMax) throw new UsageError(`${rest[restMax] ?? ''} is too much`);
  return { command: options.help ? 'help' : command, rest, options };
}

function wordsOf(command: CommandName, isCurrent: boolean): number {
  if (command === 'policy') return 2;
  if (!isOperators(command)) return 0;
  // `--current` stands for the version.
  return WORDS_OF[command] - (isCurrent ? 1 : 0);
}

const isOperators = (command: CommandName): command is OperatorCommand => command in WORDS_OF;

/** The whole program: does what it is told and gives the exit code. Never throws. */
export async function main(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  try {
    return await dispatch(parse(argv), env);
  } catch (error) {
    return explain(error);
  }
}

async function dispatch(
  { command, rest, options }: Parsed,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  switch (command) {
    case 'enroll':
      return enrollCommand(options, env);
    case 'run':
      return runCommand(options, env);
    case 'status':
      return statusCommand(options);
    case 'policy':
      return policyCommand(rest, options);
    case 'version':
      console.log(AGENT_VERSION);
      return EXIT.done;
    case 'help':
      console.log(USAGE);
      return EXIT.done;
    default: {
      const { OPERATOR_COMMANDS } = await import('./operator/commands.js');
      const asked = { ...options, rest, stopServices: options['stop-services'] };
      return OPERATOR_COMMANDS[command](asked);
    }
  }
}

async function statusCommand(options: Options): Promise<number> {
  const { readStatus } = await import('./operator/status.js');
  const { statusInWords } = await import('./operator/status-words.js');
  const status = await readStatus(options.dir);
  console.log(options.json ? JSON.stringify(status, null, 2) : printable(statusInWords(status)));
  return options['is-up-to-date'] && !status.up_to_date ? EXIT.pending : EXIT.done;
}

function labelsFrom(texts: readonly string[]): Record<string, string> {
  const entries = texts.map((text): [string, string] => {
    const cut = text.indexOf('=');
    if (cut < 1) throw new UsageError(`--label ${text}: write KEY=VALUE`);
    return [text.slice(0, cut), text.slice(cut + 1)];
  });
  return Object.fromEntries(entries);
}

async function enrollCommand(
  options: Options,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const { manager, token, dir } = options;
  if (manager === undefined || token === undefined) {
    throw new UsageError('enroll needs --manager and --token');
  }
  const { CONFIG_FILE, findIdentity } = await import('./config.js');
  const { enroll } = await import('./enroll.js');
  const { settingsFor } = await import('./enroll-settings.js');
  const known = await findIdentity(dir);
  if (known !== null) {
    console.error(
      `bellwether-agent: ${dir} is enrolled already, as ${known.name} (${known.node_id}) with ` +
        `${known.manager}; nothing was changed. Use another --dir for another node.`,
    );
    return EXIT.usage;
  }
  const node = await enroll({
    manager,
    token,
    name: options.name ?? hostname(),
    dir,
    labels: labelsFrom(options.label),
    allowPlaintext: options['allow-plaintext'],
    cluster: options.cluster,
    ...(await settingsFor(options, env)),
  });
  console.log(printable(`Enrolled as ${node.name} (${node.node_id}).`));
  console.log(`Now describe the services in ${join(dir, CONFIG_FILE)},`);
  console.log('write a policy.toml into each install root, and start: bellwether-agent run');
  return EXIT.done;
}

async function runCommand(
  options: Options,
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const { run } = await import('./run.js');
  const { faultsFrom } = await import('./updater/index.js');
  const { keepSmall } = await import('./runtime/give-back.js');
  const faults = faultsFrom(env['BELLWETHER_FAULT']);
  const asked = Promise.withResolvers<undefined>();
  const onSignal = (): void => {
    asked.resolve(undefined);
  };
  const agent = await run({ dir: options.dir, faults, env, onLeft: onSignal });
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const stopGivingBack = keepSmall();
  await asked.promise;
  stopGivingBack();
  await agent.stop(options['stop-services']);
  process.off('SIGTERM', onSignal);
  process.off('SIGINT', onSignal);
  return EXIT.done;
}

async function policyCommand(rest: readonly string[], options: Options): Promise<number> {
  const { checkPolicies, showPolicies, updateFrom } = await import('./policy-command.js');
  const [verb, file] = rest;
  const wanted = { dir: options.dir, service: options.service };
  if (verb === 'update' && file !== undefined) {
    const problem = await updateFrom(wanted, file);
    if (problem !== null) throw new UsageError(problem);
    return EXIT.done;
  }
  if (file !== undefined || (verb !== 'check' && verb !== 'show')) {
    throw new UsageError('policy knows `policy check`, `policy show` and `policy update FILE`');
  }
  const isFine = await (verb === 'check' ? checkPolicies(wanted) : showPolicies(wanted));
  return isFine ? EXIT.done : EXIT.config;
}

/** Says what is wrong and what to do about it, and gives the exit code. */
function explain(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`bellwether-agent: ${error.message}\n\n${USAGE}`);
    return EXIT.usage;
  }
  if (!(error instanceof FleetError)) {
    const { code, message } = error as { code?: string; message?: string };
    const hint = code === 'EACCES' || code === 'EPERM' ? '; run it as root' : '';
    const what = message ?? String(error);
    console.error(printable(`bellwether-agent: ${code ?? 'internal_error'}: ${what}${hint}`));
    return EXIT.failed;
  }
  const fix = isErrorCode(error.code) ? ` ${ERRORS[error.code].fix}` : '';
  console.error(printable(`bellwether-agent: ${error.code}: ${error.message}.${fix}`));
  return EXIT_OF_CODE[error.code] ?? EXIT.failed;
}

/** What a script wants to tell apart; every other code is a failure. */
const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  config_invalid: EXIT.config,
  upgrade_policy_invalid: EXIT.config,
  unavailable: EXIT.unreachable,
  agent_not_running: EXIT.notRunning,
  nothing_to_apply: EXIT.refused,
  nothing_to_go_back_to: EXIT.refused,
  upgrade_in_progress: EXIT.refused,
  upgrade_revoked: EXIT.refused,
  not_found: EXIT.refused,
};
