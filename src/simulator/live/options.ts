import { parseArgs } from 'node:util';
import { readFile } from 'node:fs/promises';
import { Scenario } from './scenario.js';
import { scenarioNamed, SCENARIOS } from './scenarios.js';

const NODES = 1_000;
const NODES_MAX = 50_000;
const CONNECTS_PER_SECOND = 1_000;
const SETTLE_SECONDS = 1;

export const USAGE = `Usage: npm run fleet -- [--nodes N] [--scenario NAME|FILE] [where] [more]

Where:
  --own-manager          start one in a temporary folder, and remove it at the end (when no --manager is given)
  --manager URL          this one; a token comes from --token-file or BELLWETHER_TOKEN
  --token-file FILE      a token that may enroll nodes, publish releases and roll out
  --i-operate HOST       needed for any manager that is not on this machine: its host, word for word
  --identities FILE      nodes enrolled before; new ones are added to it (private keys: keep it)
  --group ID             where new nodes go (a group made for this run)

What:
  --nodes N              how many (${NODES}; up to ${NODES_MAX})
  --scenario S           ${SCENARIOS.map(({ name }) => name).join(', ')}; or a JSON file
  --inventory FILE       rehearse on a copy of these nodes: bellwether nodes list --limit 50000 -o json (own manager only)
  --groups FILE          with their tree of groups: bellwether groups list -o json
  --plan FILE            the plan to rehearse, as JSON; its waits are shortened
  --settle-seconds N     settling in a rehearsal, at most (${SETTLE_SECONDS})
  --seed S               what luck begins with; the same seed befalls the same nodes

How:
  --workers N            processes (one for each 10 000 nodes)
  --connects N           new links a second, all processes together (${CONNECTS_PER_SECOND})
  --limit-seconds N      when it is given up
  --json                 the end as one JSON object on standard output; everything else on standard error
  --list                 say what each scenario does

Leaves with 0 when what the scenario expects happened, 1 when it did not, 2 when it could not be played.`;

export interface Options {
  readonly manager: string | null;
  readonly tokenFile: string | null;
  readonly consent: string | null;
  readonly identities: string | null;
  readonly group: string | null;
  readonly nodes: number;
  readonly scenario: Scenario;
  readonly inventory: string | null;
  readonly groups: string | null;
  readonly plan: string | null;
  readonly settleSeconds: number;
  readonly seed: string;
  readonly workers: number;
  readonly connectsPerSecond: number;
  readonly isJson: boolean;
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;

/** Throws what is wrong, in words; a string is something to say in place of playing. */
export async function readOptions(args: readonly string[]): Promise<Options | string> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ manager: text, 'own-manager': flag, 'token-file': text, 'i-operate': text },
      ...{ identities: text, group: text, nodes: text, scenario: text, inventory: text },
      ...{ groups: text, plan: text, 'settle-seconds': text, seed: text, workers: text },
      ...{ connects: text, 'limit-seconds': text, json: flag, list: flag, help: flag },
    },
  });
  if (values.help) return USAGE;
  if (values.list)
    return SCENARIOS.map(({ name, about }) => `${name.padEnd(16)}${about}`).join('\n');
  const { inventory = null, manager = null } = values;
  if (manager !== null && values['own-manager']) throw new Error('give --manager or --own-manager');
  if (inventory !== null && manager !== null) {
    throw new Error('--inventory rehearses in a manager of its own: leave --manager out');
  }
  const isRehearsal = inventory !== null || values.plan !== undefined;
  if (isRehearsal && (inventory === null || values.plan === undefined)) {
    throw new Error('a rehearsal takes both: --inventory and --plan');
  }
  const scenario = await readScenario(values.scenario ?? 'healthy');
  const limit = values['limit-seconds'];
  return {
    manager,
    inventory,
    tokenFile: values['token-file'] ?? null,
    consent: values['i-operate'] ?? null,
    identities: values.identities ?? null,
    group: values.group ?? null,
    nodes: whole('nodes', values.nodes, NODES, NODES_MAX),
    scenario:
      limit === undefined
        ? scenario
        : { ...scenario, limit_seconds: whole('limit-seconds', limit, 0, 86_400) },
    groups: values.groups ?? null,
    plan: values.plan ?? null,
    settleSeconds: whole('settle-seconds', values['settle-seconds'], SETTLE_SECONDS, 3_600),
    seed: values.seed ?? Date.now().toString(36),
    workers: whole('workers', values.workers, 1, 64),
    connectsPerSecond: whole('connects', values.connects, CONNECTS_PER_SECOND, 100_000),
    isJson: values.json,
  };
}

async function readScenario(name: string): Promise<Scenario> {
  const known = scenarioNamed(name);
  if (known !== null) return known;
  if (!name.endsWith('.json')) {
    const names = SCENARIOS.map((one) => one.name).join(', ');
    throw new Error(`--scenario ${name}: there are ${names}; or give a file that ends in .json`);
  }
  const parsed = Scenario.safeParse(JSON.parse(await readFile(name, 'utf8')));
  if (parsed.success) return parsed.data;
  const list = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new Error(`${name} is no scenario: ${list.join('; ')}`);
}

function whole(name: string, given: string | undefined, otherwise: number, max: number): number {
  if (given === undefined) return otherwise;
  const value = Number(given);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new Error(`--${name} ${given}: give a whole number from 1 to ${max}`);
}
