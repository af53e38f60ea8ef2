import { Channel, ProductName, Version } from '../../core/release/index.js';
import type { Client } from '../client.js';
import type { Command, Given, OptionSpec } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import type { Terminal } from '../terminal.js';
import { Moment, present, Span } from '../values.js';
import {
  PLAN_NOTES,
  PLAN_OPTIONS,
  readGroupPlan,
  readRolloutPlan,
  SCOPE_OPTIONS,
} from './plan-options.js';
import { rolloutText, type Rollout } from './rollout-text.js';
import { checkWait, WAIT_OPTIONS, watchUntilOver } from './watch.js';

const WATCHED: Readonly<Record<string, OptionSpec>> = {
  wait: { help: 'stay until it is over; the exit code tells the end, as of `rollouts watch`' },
  watch: { help: 'the same as --wait' },
  ...WAIT_OPTIONS,
  ...MANAGER_OPTIONS,
  ...OUTPUT_OPTION,
};

export const upgradeNode: Command = {
  name: 'nodes upgrade',
  summary: 'upgrade one node',
  operands: ['ID'],
  options: {
    product: { value: 'P', help: 'which service, when the node has several' },
    version: { value: 'V', help: 'the release to bring', isRequired: true },
    channel: { value: 'C', help: 'its channel (default stable)' },
    'expected-version': { value: 'V', help: 'only when the node runs this version' },
    'only-online': { help: 'refuse when the node is offline, do not wait for it' },
    'apply-after': { value: 'T', help: 'do not start before this moment' },
    'expires-after': { value: 'D', help: 'give up when the node did not come in this time' },
    ...WATCHED,
  },
  notes: [
    'T is a moment such as 2026-12-01T22:00:00Z; D is seconds, or a time such as 30m, 12h, 7d.',
  ],
  run: async (given, terminal) => {
    checkWait(given);
    const version = given.need('version', Version);
    const optional = present({
      channel: given.read('channel', Channel),
      product: given.read('product', ProductName),
      expected_version: given.read('expected-version', Version),
      only_online: given.isSet('only-online') ? true : undefined,
      apply_after: given.read('apply-after', Moment),
      expires_after_seconds: given.read('expires-after', Span),
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
  options: { ...PLAN_OPTIONS, ...WATCHED },
  notes: PLAN_NOTES,
  run: async (given, terminal) => {
    checkWait(given);
    const body = await readGroupPlan(given);
    const client = await connect(given, terminal);
    const rollout = await client.call('groups.upgrade', { params: { id: given.operand(0) }, body });
    await tell(rollout, { given, terminal, client });
  },
};

export const createRollout: Command = {
  name: 'rollouts create',
  summary: 'roll a release out to any part of the fleet',
  operands: [],
  options: { ...SCOPE_OPTIONS, ...PLAN_OPTIONS, ...WATCHED },
  notes: PLAN_NOTES,
  run: async (given, terminal) => {
    checkWait(given);
    const body = await readRolloutPlan(given);
    const client = await connect(given, terminal);
    await tell(await client.call('rollouts.create', { body }), { given, terminal, client });
  },
};

async function tell(
  rollout: Rollout,
  { given, terminal, client }: { given: Given; terminal: Terminal; client: Client },
): Promise<void> {
  if (checkWait(given)) await watchUntilOver(rollout.id, { given, terminal, client });
  else show(given, terminal, rollout, rolloutText);
}
