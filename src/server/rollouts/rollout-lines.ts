import { durationInWords, toIso, type JsonValue } from '../../core/kernel/index.js';
import type { RolloutEvent, RolloutState } from '../../core/rollout/index.js';
import type { EventType, Severity } from '../../protocol/index.js';
import type { RolloutMeta } from './tables/rollouts.store.js';

/** One line of the event log. */
export interface Line {
  readonly severity: Severity;
  readonly message: string;
  readonly details: Readonly<Record<string, JsonValue>>;
}

const OF_NO_WAVE: readonly string[] = ['waiting_for_last_nodes', 'waiting_for_offline_nodes'];

/** What people and SIEM systems read of a rollout event, or null when node events say it already. */
export function lineFor(meta: RolloutMeta, state: RolloutState, event: RolloutEvent): Line | null {
  const what = `${meta.product} ${meta.version}`;
  switch (event.type) {
    case 'rollout_started':
      return info(`Rollout of ${what} started`, { waves: state.waves.length });
    case 'rollout_waits':
      // What it waits for in a wave, the wave's own line says.
      return OF_NO_WAVE.includes(event.reason)
        ? info(`Rollout of ${what} waits: ${event.reason}`, { reason: event.reason })
        : null;
    case 'rollout_paused': {
      const { wave, reason, failures } = event;
      const where = wave === null ? '' : ` in wave ${wave + 1}`;
      return {
        severity: reason === 'paused_by_operator' ? 'info' : 'critical',
        message: `Rollout of ${what} paused${where}: ${reason}`,
        details: { wave: wave === null ? null : wave + 1, reason, failures },
      };
    }
    case 'rollout_resumed':
      return info(`Rollout of ${what} resumed`, {});
    case 'rollout_glass_broken':
      return {
        severity: 'critical',
        message:
          `Rollout of ${what}: ${event.byName} broke the glass: freezes, windows and approvals ` +
          `do not hold it until ${toIso(event.until)}: ${event.reason}`,
        details: { by: event.by, reason: event.reason, until: toIso(event.until) },
      };
    case 'rollout_completed':
      return {
        severity: event.failures > 0 ? 'warning' : 'info',
        message: `Rollout of ${what} complete: ${nodes(event.completed)} upgraded`,
        details: {
          reason: event.reason,
          completed_count: event.completed,
          failures: event.failures,
        },
      };
    case 'rollout_cancelled':
      return { severity: 'warning', message: `Rollout of ${what} cancelled`, details: {} };
    case 'rollout_rolled_back':
      return {
        severity: 'warning',
        message: `Rollout of ${what} marked as rolled back`,
        details: {},
      };
    default:
      return lineForWave(state, event, what);
  }
}

type WaveEvent = Extract<RolloutEvent, { wave: number }>;

function lineForWave(
  state: RolloutState,
  event: Exclude<WaveEvent, { type: 'rollout_paused' }>,
  what: string,
): Line | null {
  const wave = event.wave + 1;
  const name = state.plan.waves[event.wave]?.name ?? '';
  const which = `Wave ${wave} of ${state.waves.length} (${name})`;
  switch (event.type) {
    case 'wave_waits': {
      const until = event.until === null ? null : toIso(event.until);
      const when = until === null ? '' : ` until ${until}`;
      return info(`${which} waits: ${event.reason}${when}`, { wave, reason: event.reason, until });
    }
    case 'wave_approved':
      return info(`${which} was approved`, { wave, by: event.by });
    case 'wave_opened': {
      const size = state.waves[event.wave]?.size ?? 0;
      return info(`${which} opened: ${nodes(size)} get${size === 1 ? 's' : ''} ${what}`, {
        wave,
        nodes: size,
        reason: event.reason,
      });
    }
    case 'wave_settling':
      return info(`${which} is done; it settles ${settleText(event.until - event.at)}`, {
        wave,
        settles_at: toIso(event.until),
      });
    case 'wave_passed':
      return info(`${which} passed its gate`, { wave, reason: event.reason });
    case 'wave_reopened':
      return {
        severity: 'warning',
        message: `${which} is open again: ${event.reason}`,
        details: { wave, reason: event.reason },
      };
    case 'wave_skipped':
      return {
        severity: 'warning',
        message: `${which} was skipped: ${nodes(event.count)} left out`,
        details: { wave, nodes: event.count },
      };
    default:
      return lineForTargets(event, which);
  }
}

type TargetEvent = Extract<
  WaveEvent,
  { type: 'targets_offered' | `targets_${string}` | `target_${string}` }
>;

function lineForTargets(event: TargetEvent, which: string): Line | null {
  const wave = event.wave + 1;
  switch (event.type) {
    case 'targets_offered':
      return null;
    case 'targets_retried':
      return info(`${which}: ${nodes(event.count)} tried again`, { wave, nodes: event.count });
    case 'targets_expired':
      return {
        severity: 'warning',
        message: `${which}: the time is up for ${nodes(event.count)}`,
        details: { wave, nodes: event.count },
      };
    case 'target_joined':
      return info(`Node joined: ${which}`, { wave });
    case 'target_presence':
      return event.offline > 0
        ? { severity: 'warning', message: 'Node went away after its upgrade', details: { wave } }
        : info('Node is back after its upgrade', { wave });
    case 'target_moved':
      return movedLine(event, wave);
  }
}

/** Node events tell the rest. */
function movedLine(
  event: Extract<RolloutEvent, { type: 'target_moved' }>,
  wave: number,
): Line | null {
  const details = { wave, reason: event.reason };
  if (event.reason === 'drifted') {
    return { severity: 'critical', message: 'Node left the version of its rollout', details };
  }
  if (event.reason === 'arrived_by_hand') return info('Node came to the version by hand', details);
  if (event.to !== 'silent') return null;
  return event.lost > 0
    ? { severity: 'critical', message: 'Node fell silent after it was let swap', details }
    : { severity: 'warning', message: 'Node said nothing before its deadline', details };
}

/** Of events about one node, what they are called for consumers. */
const TYPE_OF_MOVE: Readonly<Record<string, EventType>> = {
  drifted: 'target_drifted',
  arrived_by_hand: 'target_arrived',
};

/** What a rollout event is called in the event log. */
export const typeOf = (event: RolloutEvent): EventType =>
  event.type === 'target_moved' ? (TYPE_OF_MOVE[event.reason] ?? 'target_silent') : event.type;

const info = (message: string, details: Line['details']): Line => ({
  severity: 'info',
  message,
  details,
});

const nodes = (count: number): string => (count === 1 ? '1 node' : `${count} nodes`);

const settleText = (durationMs: number): string =>
  durationMs < 1_000 ? 'at once' : `for ${durationInWords(durationMs)}`;
