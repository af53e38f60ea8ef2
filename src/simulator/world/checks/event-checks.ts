import type { RolloutEvent, RolloutState, TargetState } from '../../../core/rollout/index.js';
import { isClosed, isOutside } from './closed-gates.js';
import type { RolloutMeta } from '../parts.js';
import { must } from './violation.js';

/** A target as it is stored. */
export interface TargetRow {
  readonly node_id: string;
  readonly wave: number;
  readonly state: TargetState;
  readonly reason: string;
  readonly command_id: string | null;
  readonly offline: number;
  readonly deadline_at: number | null;
}

/** A rollout as it was just before an event; its targets as they are after the step. */
export interface CheckedRollout {
  readonly meta: RolloutMeta;
  readonly folded: RolloutState;
  readonly targets: ReadonlyMap<string, TargetRow>;
}

/** What the check of one event may ask. */
export interface EventCheck {
  /** Whether a group was held back before this step and still is. */
  readonly isHeld: (groupId: string, at: number) => boolean;
  readonly groupOf: (nodeId: string) => string;
  /** Whether a node really is where this command, or any way, was to bring it. */
  readonly hasSucceeded: (nodeId: string, commandId: string | null, version: string) => boolean;
  readonly happened: (type: RolloutEvent['type']) => void;
  readonly granted: (nodeId: string, commandId: string | null) => void;
}

type EventOf<T extends RolloutEvent['type']> = Extract<RolloutEvent, { type: T }>;

/** Whether this event was allowed to happen, given all that happened before it. */
export function checkEvent(rollout: CheckedRollout, event: RolloutEvent, check: EventCheck): void {
  check.happened(event.type);
  switch (event.type) {
    case 'wave_opened':
      opened(rollout, event, check);
      break;
    case 'targets_offered':
      offered(rollout, event, check);
      break;
    case 'targets_retried': {
      const wave = rollout.folded.waves[event.wave];
      must('no_offer_past_a_closed_gate', isNumber(wave?.openedAt), () => JSON.stringify(event));
      // A retry is an operator's word and may come while held back: what is refused then is the permit.
      break;
    }
    case 'wave_passed':
      passed(rollout, event, check);
      break;
    case 'target_moved':
      moved(rollout, event, check);
      break;
    default:
      break;
  }
}

function opened(rollout: CheckedRollout, event: EventOf<'wave_opened'>, check: EventCheck): void {
  const { folded, meta } = rollout;
  const held = check.isHeld(meta.groupId, event.at);
  must('no_wave_opens_while_held_back', !held, () => `${meta.id} wave ${event.wave}`);
  if (event.byHand) return;
  const at = { rollout: folded, wave: event.wave, now: event.at };
  const closed = folded.plan.waves[event.wave]?.opens.find((gate) => isClosed(gate, at));
  must(
    'no_wave_opens_past_a_closed_gate',
    closed === undefined,
    () => `${meta.id} wave ${event.wave}: ${JSON.stringify(closed)}`,
  );
  if (folded.plan.order === 'independent') return;
  const before = folded.waves
    .slice(0, event.wave)
    .find((one) => !['passed', 'skipped'].includes(one.status));
  must(
    'waves_open_in_order',
    before === undefined,
    () => `${meta.id} wave ${event.wave} before ${before?.index ?? ''}`,
  );
}

function offered(
  rollout: CheckedRollout,
  event: EventOf<'targets_offered'>,
  check: EventCheck,
): void {
  const { folded, meta } = rollout;
  const wave = folded.waves[event.wave];
  const isOpen = isNumber(wave?.openedAt) && folded.status === 'in_progress';
  must('no_offer_past_a_closed_gate', isOpen, () => JSON.stringify({ event, wave }));
  must('no_offer_while_held_back', !check.isHeld(meta.groupId, event.at), () => meta.id);
}

function passed(rollout: CheckedRollout, event: EventOf<'wave_passed'>, check: EventCheck): void {
  if (event.forced) return;
  const { folded, meta } = rollout;
  const gates = folded.plan.waves[event.wave]?.passes ?? [];
  const at = { rollout: folded, wave: event.wave, now: event.at };
  const closed = gates.find((gate) => isClosed(gate, at));
  must(
    'no_wave_passes_past_a_closed_gate',
    closed === undefined,
    () => `${meta.id} wave ${event.wave}: ${JSON.stringify(closed)}`,
  );
  if (!gates.some((gate) => gate.kind === 'verdict')) return;
  const isEvident = [...rollout.targets.values()].some(
    (row) =>
      row.wave === event.wave && check.hasSucceeded(row.node_id, row.command_id, meta.version),
  );
  must('no_good_verdict_without_evidence', isEvident, () => `${meta.id} wave ${event.wave}`);
}

function moved(rollout: CheckedRollout, event: EventOf<'target_moved'>, check: EventCheck): void {
  const { nodeId, to } = event;
  const { version } = rollout.meta;
  const commandId = rollout.targets.get(nodeId)?.command_id ?? null;
  if (event.reason === 'permit_granted') granted(rollout, event, check);
  if (to !== 'succeeded') return;
  must(
    'no_success_without_evidence',
    check.hasSucceeded(nodeId, commandId, version),
    () => `${rollout.meta.id}: ${nodeId} of ${commandId ?? 'no command'}: ${event.reason}`,
  );
}

function granted(rollout: CheckedRollout, event: EventOf<'target_moved'>, check: EventCheck): void {
  const { folded, meta } = rollout;
  const mayGrant = folded.status === 'in_progress' || folded.status === 'complete';
  must('no_permit_after_pause_or_cancel', mayGrant, () => `${meta.id} is ${folded.status}`);
  const held = check.isHeld(check.groupOf(event.nodeId), event.at);
  must('no_permit_while_held_back', !held, () => `${meta.id}: ${event.nodeId}`);
  const wave = folded.waves[event.wave];
  const isFree = wave?.byHand === true || wave?.forced === true;
  const isOut = folded.plan.waves[event.wave]?.opens.some(
    (gate) => gate.kind === 'window' && isOutside(gate, folded.plan.createdAt, event.at),
  );
  must(
    'no_permit_outside_the_window',
    isFree || isOut !== true,
    () => `${meta.id}: ${event.nodeId}`,
  );
  check.granted(event.nodeId, rollout.targets.get(event.nodeId)?.command_id ?? null);
}

const isNumber = (at: number | null | undefined): boolean => typeof at === 'number';
