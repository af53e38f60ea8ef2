import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';
import type { LinkState } from '../link/index.js';
import type { HandRequest, Updater } from '../updater/index.js';
import type { LocalRequest, Said } from './messages.js';

/** How long `update --now` waits for the manager; the agent goes on trying after it. */
const LINK_WAIT_MS = 10_000;
const POLL_MS = 50;

/** The parts of a running agent that commands reach. */
export interface Operated {
  readonly updaters: () => readonly Updater[];
  readonly link: () => LinkState | null;
  /** False where the manager itself said when to come back. */
  readonly hurry: () => boolean;
  /** Tells the manager how the services stand, if it is there. */
  readonly tellHealth: () => Promise<void>;
  /** Says goodbye for good, ends the work and removes what made this machine a node. */
  readonly leave: (withServices: boolean) => Promise<void>;
}

/** Carries out one command in the agent. Throws FleetError; then nothing was changed. */
export async function operate(request: LocalRequest, agent: Operated): Promise<readonly Said[]> {
  switch (request.do) {
    case 'look':
      return look(request, agent);
    case 'reload':
      return reload(request, agent);
    case 'apply':
    case 'rollback':
      return tell([theOne(agent, request.service)], { do: request.do });
    case 'decommission':
      return leave(request, agent);
  }
}

async function tell(updaters: readonly Updater[], request: HandRequest): Promise<Said[]> {
  const said: Said[] = [];
  for (const updater of updaters) {
    said.push({ service: updater.name, message: await updater.byHand(request) });
  }
  return said;
}

/** The manager plans by what it was told of a switch: it hears of a change at once. */
async function reload(
  { service }: Extract<LocalRequest, { do: 'reload' }>,
  agent: Operated,
): Promise<readonly Said[]> {
  const said = await tell(chosen(agent, service), { do: 'reload' });
  await agent.tellHealth();
  return said;
}

function chosen({ updaters }: Operated, service: string | null): readonly Updater[] {
  const all = updaters();
  const found = service === null ? all : all.filter(({ name }) => name === service);
  if (service !== null && found.length === 0) {
    throw new FleetError('not_found', `the agent looks after no service ${service}`);
  }
  return found;
}

function theOne(agent: Operated, service: string | null): Updater {
  const found = chosen(agent, service);
  const [one] = found;
  if (one === undefined) throw new FleetError('not_found', 'the agent looks after no service');
  if (found.length === 1) return one;
  const names = found.map(({ name }) => name).join(', ');
  throw new FleetError('invalid_request', `say which service is meant: ${names}`);
}

async function look(
  { now, service }: Extract<LocalRequest, { do: 'look' }>,
  agent: Operated,
): Promise<readonly Said[]> {
  const updaters = chosen(agent, service);
  const mayHurry = !now || agent.hurry();
  const said = await tell(updaters, { do: 'look', now });
  if (!now) return [...said, { service: null, message: await linkInWords(agent, 0) }];
  if (!mayHurry) {
    const message = 'the manager itself said when to come back; the agent keeps to that';
    throw new FleetError('unavailable', message);
  }
  const link = await linkInWords(agent, LINK_WAIT_MS);
  if (agent.link() !== 'connected') throw new FleetError('unavailable', link);
  return [...(await tell(updaters, { do: 'look', now })), { service: null, message: link }];
}

async function linkInWords(agent: Operated, waitMs: number): Promise<string> {
  const untilMs = performance.now() + waitMs;
  while (agent.link() !== 'connected' && performance.now() < untilMs) await sleep(POLL_MS);
  return agent.link() === 'connected'
    ? 'the manager is connected: it has told all that it wants of this node'
    : 'the manager is not reached; the agent goes on trying';
}

async function leave(
  { stop_services, force }: Extract<LocalRequest, { do: 'decommission' }>,
  agent: Operated,
): Promise<readonly Said[]> {
  const isTold = agent.link() === 'connected';
  if (!isTold && !force) {
    const message = 'the manager is not connected and cannot be told; --force leaves without';
    throw new FleetError('unavailable', message);
  }
  await agent.leave(stop_services);
  return [{ service: null, message: isTold ? 'the manager was told' : 'the manager was not told' }];
}
