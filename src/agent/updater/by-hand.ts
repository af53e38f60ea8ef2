import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError, type Refusal, type Result } from '../../core/kernel/index.js';
import { revokedMessage, type LocalControl, type NodePolicy } from '../../core/release/index.js';
import {
  waitingForHand,
  wayBack,
  type Input,
  type Job,
  type OutboxEvent,
  type UpdateState,
} from '../../core/update/index.js';
import type { ErrorCode } from '../../protocol/index.js';
import type { ControlFile } from '../control-file.js';
import type { Channels } from './channels.js';
import type { InstallRoot } from './install-root.js';
import type { UpdaterOptions } from './updater-options.js';

/** How long the answer to a rollback waits for its end; it goes on, whether somebody waits or not. */
const ROLLBACK_WAIT_MS = 30_000;
const POLL_MS = 50;

/** What a person on the node may ask of one service. */
export type HandRequest =
  | { readonly do: 'apply' }
  | { readonly do: 'rollback' }
  /** `now`: without the local waits, the maintenance window among them. */
  | { readonly do: 'look'; readonly now: boolean }
  /** `control.json` was changed. */
  | { readonly do: 'reload' };

/** What the updater lends for it. */
export interface Hands {
  readonly driver: string;
  readonly root: InstallRoot;
  readonly channels: Channels;
  readonly control: ControlFile;
  /** What is durable. */
  readonly state: () => UpdateState;
  readonly policy: () => Promise<Result<NodePolicy, Refusal<ErrorCode>>>;
  readonly take: (input: Input, of?: Job | null) => Promise<void>;
}

/**
 * Does what a person asks for and says what came of it. What it begins is durable by then, and goes on
 * after a crash. No permit, signature or policy is stood in for. Throws FleetError with the reason; then
 * nothing was changed.
 */
export function obeyHand(request: HandRequest, hands: Hands): Promise<string> {
  switch (request.do) {
    case 'apply':
      return apply(hands);
    case 'rollback':
      return rollBack(hands);
    case 'look':
      return look(hands, request.now);
    case 'reload':
      return hands.control.read().then(() => 'seen');
  }
}

async function apply({ state, policy, take }: Hands): Promise<string> {
  const rules = await policy();
  const waiting = waitingForHand(state(), rules.ok && rules.value.manual_only);
  if (!waiting.ok) throw new FleetError(waiting.error.code, waiting.error.message);
  const job = waiting.value;
  await take({ type: 'apply_by_hand' }, job);
  const after = state();
  if (after.job?.command_id !== job.command_id) {
    throw new FleetError('nothing_to_apply', `${job.version} was withdrawn meanwhile`);
  }
  return job.needs_permit
    ? `${job.version} is let go; it is swapped as soon as the manager gives its permit`
    : `${job.version} is let go and is being swapped`;
}

async function rollBack(hands: Hands): Promise<string> {
  const { state, take, driver } = hands;
  const way = wayBack(state());
  if (!way.ok) throw new FleetError(way.error.code, way.error.message);
  const { from, to } = way.value;
  if (to !== null) await refuseUnusable(hands, to.version);
  const onProbation = state().job?.phase === 'probation' ? state().job?.command_id : undefined;
  const id = onProbation ?? `hand_${randomBytes(10).toString('hex')}`;
  await take({ type: 'rollback_by_hand', id });
  const { job, outcome } = state();
  if (job?.command_id !== id && outcome?.command_id !== id) {
    throw new FleetError('upgrade_in_progress', 'somebody else turns it back at this moment');
  }
  const where = to === null ? 'nothing: there was no version before' : to.version;
  if (driver === 'self') return `${from} gives way to ${where}; the agent starts anew`;
  const end = await endOf(hands, id);
  return end ? `${from} was turned back to ${where}` : `${from} is being turned back to ${where}`;
}

/** A version that is revoked, or not whole, is nothing to go back to. */
async function refuseUnusable({ root, channels }: Hands, version: string): Promise<void> {
  const revoked = channels.revocationOf(version);
  if (revoked !== null) throw new FleetError('upgrade_revoked', revokedMessage(version, revoked));
  if (await root.isWhole(version)) return;
  const message = `${root.versionPath(version)} is gone or not whole`;
  throw new FleetError('nothing_to_go_back_to', message);
}

/** True when it has ended; false when it still goes on. Throws when the first try has failed. */
async function endOf({ state }: Hands, id: string): Promise<boolean> {
  const untilMs = performance.now() + ROLLBACK_WAIT_MS;
  while (performance.now() < untilMs) {
    const { job } = state();
    if (job?.command_id !== id) return true;
    if (job.rollback_failed) {
      throw new FleetError('upgrade_rollback_failed', 'it does not work yet, and is tried again');
    }
    await sleep(POLL_MS);
  }
  return false;
}

async function look({ channels, state, take }: Hands, now: boolean): Promise<string> {
  if (now) channels.now();
  else channels.news();
  if (now) await take({ type: 'hurry_by_hand' });
  const { job, current } = state();
  const waived = job?.window_waived === true ? '; it does not wait for the local window' : '';
  if (job !== null) return `${job.version} is under way (${job.phase})${waived}`;
  return current === null ? 'nothing is installed' : `${current.version} runs`;
}

/** Tells the manager that a switch on the node was changed. */
export function tellControl(
  { service: { name }, clock, emit }: Pick<UpdaterOptions, 'service' | 'clock' | 'emit'>,
  { enabled, pin }: LocalControl,
): Promise<void> {
  const may = pin === null ? 'may take what its policy allows' : `is pinned to ${pin}`;
  const event: OutboxEvent = {
    id: `${name}:control:${randomBytes(6).toString('hex')}`,
    at: new Date(clock.now()).toISOString(),
    type: 'policy_changed',
    severity: 'warning',
    command_id: null,
    message: `On the node, by hand: ${enabled ? `${name} ${may}` : `upgrades of ${name} are switched off`}`,
    details: { enabled, pin },
  };
  return emit(name, [event]);
}
