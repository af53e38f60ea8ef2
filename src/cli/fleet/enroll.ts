import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import type { Answer } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import { usageError, type Command, type Given } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION, show } from '../connection.js';
import { facts, plain } from '../output/index.js';
import { patiently } from '../patience.js';
import type { Terminal } from '../terminal.js';
import { Span } from '../values.js';

type Event = Answer<'events.list'>['items'][number];

const LOOK_EVERY_MS = 2_000;
/** As long as the token counts. */
const WAIT_SECONDS = 15 * 60;

/** The first node that connects to a group for the first time after a point of the log. */
async function untilConnected(
  groupId: string,
  after: number,
  { client, terminal, endsAt }: { client: Client; terminal: Terminal; endsAt: number },
): Promise<Event> {
  for (let cursor = after; ;) {
    const query = { after: cursor, type: 'node_connected', group_id: groupId, limit: 100 };
    const page = await patiently(() => client.call('events.list', { query }), terminal);
    const found = page.items.find(({ group_id: group }) => group === groupId);
    if (found !== undefined) return found;
    cursor = Math.max(cursor, page.next_after);
    if (terminal.now() >= endsAt) {
      throw new FleetError('wait_timed_out', `no node of ${groupId} connected in time`, {
        context: { fix: 'Look at the output of the installer on the node; then wait again.' },
      });
    }
    await terminal.sleep(LOOK_EVERY_MS);
  }
}

function waitOf(given: Given): number | null {
  if (given.isSet('wait')) return given.read('timeout', Span) ?? WAIT_SECONDS;
  if (given.isSet('timeout')) throw usageError('--timeout goes with --wait');
  return null;
}

/** Makes a one-time token for the group that was given, and shows it with the line for the node. */
export async function makeToken(
  client: Client,
  given: Given,
  terminal: Terminal,
): Promise<Answer<'enrollment.create'>> {
  const group = given.optional('group');
  const made = await client.call('enrollment.create', {
    body: group === undefined ? {} : { group_id: group },
  });
  show(given, terminal, made, (token) =>
    facts([
      ['token', token.secret],
      ['group', token.group_id],
      ['expires', token.expires_at],
      ['on the node', token.command],
    ]),
  );
  return made;
}

export const enroll: Command = {
  name: 'enroll',
  summary: 'make a one-time token and show the line for the node; --wait sees it arrive',
  operands: [],
  options: {
    group: { value: 'ID', help: 'group of the node (default grp_default)' },
    wait: { help: 'stay until a node of the group connects' },
    timeout: { value: 'D', help: 'wait no longer than this (default 15m); then exit code 8' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: ['The token works once, for 15 minutes. -o name prints nothing but its id.'],
  run: async (given, terminal) => {
    const seconds = waitOf(given);
    const client = await connect(given, terminal);
    const newest = { query: { order: 'newest', limit: 1 } } as const;
    const after = seconds === null ? 0 : (await client.call('events.list', newest)).next_after;
    const made = await makeToken(client, given, terminal);
    if (seconds === null) return;
    terminal.err('waiting for the node\n');
    const endsAt = terminal.now() + seconds * SECOND_MS;
    const { node_id: node, message } = await untilConnected(made.group_id, after, {
      client,
      terminal,
      endsAt,
    });
    terminal.err(`${plain(`${node ?? 'a node'} ${message}`)}\n`);
  },
};
