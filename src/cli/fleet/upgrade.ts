import { z } from 'zod';
import { Channel, ProductName, Version } from '../../core/release/index.js';
import type { Client } from '../client.js';
import type { Command, Given, OptionSpec } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import type { Terminal } from '../terminal.js';
import { rolloutText, type Rollout } from './rollout-text.js';
import { watchUntilOver } from './watch.js';

const whole = (min: number, max: number) =>
  z.coerce
    .number({ error: 'take a number' })
    .int('take a whole number')
    .min(min, `take ${min} or more`)
    .max(max, `take ${max} or less`);

const WEEK_SECONDS = 7 * 86_400;
const STRATEGIES = ['staged', 'immediate'] as const;
const Strategy = z.enum(STRATEGIES, { error: `take one of ${STRATEGIES.join(', ')}` });
const Percents = z
  .string()
  .regex(/^\d{1,3}(\.\d+)?(,\d{1,3}(\.\d+)?)*$/, 'take rising percents such as 10,50,100')
  .transform((text) => text.split(',').map(Number));

const COMMON: Readonly<Record<string, OptionSpec>> = {
  version: { value: 'V', help: 'the release to bring', isRequired: true },
  channel: { value: 'C', help: 'its channel (default stable)' },
  watch: { help: 'stay until it is over; the exit code is that of `rollouts watch`' },
  ...MANAGER_OPTIONS,
  ...OUTPUT_OPTION,
};

/** Leaves out what was not given, so that the manager's defaults hold. */
function present<T extends Record<string, unknown>>(fields: T) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

export const upgradeNode: Command = {
  name: 'nodes upgrade',
  summary: 'upgrade one node',
  operands: ['ID'],
  options: {
    product: { value: 'P', help: 'which service, when the node has several' },
    ...COMMON,
  },
  run: async (given, terminal) => {
    const version = given.need('version', Version);
    const optional = present({
      channel: given.read('channel', Channel),
      product: given.read('product', ProductName),
    });
    const client = await connect(given, terminal);
    const rollout = await client.call('nodes.upgrade', {
      params: { id: given.operand(0) },
      body: { version, ...optional },
    });
    await tell(rollout, { given, terminal, client });
  },
};

export const upgradeGroup: Command = {
  name: 'groups upgrade',
  summary: 'roll a release out to a group, in waves',
  operands: ['ID'],
  options: {
    product: { value: 'P', help: 'what to upgrade', isRequired: true },
    strategy: { value: 'S', help: `${STRATEGIES.join(' or ')} (default staged)` },
    waves: { value: 'P,P,...', help: 'cumulative percents (default 10,50,100)' },
    'settle-seconds': { value: 'N', help: 'quiet time after each wave (default 300)' },
    'node-deadline-seconds': { value: 'N', help: 'silence that counts as failure (default 1800)' },
    ...COMMON,
  },
  run: async (given, terminal) => {
    const body = {
      product: given.need('product', ProductName),
      version: given.need('version', Version),
      ...present({
        channel: given.read('channel', Channel),
        strategy: given.read('strategy', Strategy),
        wave_percents: given.read('waves', Percents),
        settle_seconds: given.read('settle-seconds', whole(0, WEEK_SECONDS)),
        node_deadline_seconds: given.read('node-deadline-seconds', whole(10, WEEK_SECONDS)),
      }),
    };
    const client = await connect(given, terminal);
    const rollout = await client.call('groups.upgrade', { params: { id: given.operand(0) }, body });
    await tell(rollout, { given, terminal, client });
  },
};

async function tell(
  rollout: Rollout,
  { given, terminal, client }: { given: Given; terminal: Terminal; client: Client },
): Promise<void> {
  if (given.isSet('watch')) await watchUntilOver(rollout.id, { given, terminal, client });
  else show(given, terminal, rollout, rolloutText);
}
