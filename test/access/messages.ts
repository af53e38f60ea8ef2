import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeMessage, NodeMessageType, UpgradeBinary } from '../../src/protocol/node/index.js';
import type { NodeLink } from '../support/node-link.js';
import { PLACES, type Place, type World } from './world.js';

/** Messages that name a command, which could be that of another node. */
const ABOUT_COMMANDS: Readonly<
  Partial<Record<NodeMessageType, (id: string, seq: number) => NodeMessage>>
> = {
  ack: (id) => ({ type: 'ack', command_id: id, result: 'accepted' }),
  reject: (id) => ({
    type: 'reject',
    command_id: id,
    error_code: 'upgrade_unhealthy',
    message: 'no',
  }),
  permit_request: (id) => ({
    type: 'permit_request',
    ask: 1,
    command_id: id,
    service: 'edge',
    version: '1.1.0',
  }),
  events: (id, seq) => ({
    type: 'events',
    spool_id: 'spl_000001',
    events: [
      {
        seq,
        at: new Date().toISOString(),
        type: 'upgrade_downloaded',
        category: 'upgrade',
        severity: 'info',
        service: 'edge',
        command_id: id,
        message: 'downloaded',
        details: {},
      },
    ],
  }),
};

/** An effect that is expected is waited for; that none comes can only be waited out. */
const EFFECT_MS_MAX = 10_000;
const NO_EFFECT_MS = 300;

let seq = 0;

/**
 * What the node of `own` reaches by a message about a command of its own, of a node below its group and of
 * one of another group: `yes` when the rollout moved, `–` when nothing came of it. Messages
 * that name nothing speak of the sender alone.
 */
export async function effectOf(type: NodeMessageType, world: World): Promise<string> {
  const make = ABOUT_COMMANDS[type];
  if (make === undefined) return 'yes';
  const told: string[] = [];
  for (const place of PLACES) told.push(await effectAt(place, make, world));
  return told.join(' ');
}

async function effectAt(
  place: Place,
  make: (id: string, seq: number) => NodeMessage,
  { manager, spots }: World,
): Promise<'yes' | '–'> {
  const spot = spots[place];
  const { link } = spots.own.node;
  const made = await manager.call('nodes.upgrade', {
    params: { id: spot.node.id },
    body: { version: '1.1.0', product: 'edge' },
  });
  if (made.status !== 202) throw new Error(JSON.stringify(made.body));
  const rollout = { params: { id: made.body.id } };
  const command = await nextUpgrade(spot.node.link);
  const state = async (): Promise<string> => {
    const { body } = await manager.call('rollouts.targets', rollout);
    return body.items[0]?.state ?? '';
  };
  const before = await state();
  const message = make(command.command_id, seq + 1);
  if (message.type === 'events') seq += 1;
  link.send(message);
  let isTaken = false;
  if (message.type === 'permit_request') {
    while (link.waiting('permit') + link.waiting('permit_denied') === 0) await sleep(2);
    const denied = link.waiting('permit') > 0 ? null : await link.next('permit_denied');
    if (denied === null) await link.next('permit');
    isTaken = denied?.reason !== 'command_unknown';
  } else {
    const untilMs = performance.now() + (place === 'own' ? EFFECT_MS_MAX : NO_EFFECT_MS);
    while (!isTaken && performance.now() < untilMs) {
      await sleep(20);
      isTaken = (await state()) !== before;
    }
  }
  await manager.call('rollouts.cancel', rollout);
  return isTaken ? 'yes' : '–';
}

/** The next command to upgrade; withdrawals of earlier ones are passed over. */
async function nextUpgrade(link: NodeLink): Promise<UpgradeBinary> {
  for (;;) {
    const { command } = await link.next('command');
    if (command.action === 'upgrade_binary') return command as UpgradeBinary;
  }
}
