import { toIso, type Instant } from '../../core/kernel/index.js';
import {
  TARGET_STATES,
  verdictOf,
  type BrokenGlass,
  type Plan,
  type WaveState,
} from '../../core/rollout/index.js';
import type { Answer, Rollout } from '../../protocol/api/index.js';
import type { StoredRollout } from './tables/rollouts.store.js';
import type { StoredTarget } from './tables/targets.store.js';

export const momentView = (at: Instant | null): string | null => (at === null ? null : toIso(at));

export const waveView = (wave: WaveState, plan: Plan): Rollout['waves'][number] => {
  const planned = plan.waves[wave.index];
  return {
    index: wave.index,
    name: planned?.name ?? '',
    ring: planned?.ring ?? '',
    part: planned?.part ?? 'main',
    status: wave.status,
    reason: wave.reason,
    until: momentView(wave.until),
    size: wave.size,
    verdict: planned === undefined ? 'unknown' : verdictOf(wave, planned),
    // Only states that hold someone: thirteen zeros a wave tell nobody anything.
    counts: Object.fromEntries(
      TARGET_STATES.filter((state) => wave.counts[state] > 0).map((s) => [s, wave.counts[s]]),
    ),
    opened_at: momentView(wave.openedAt),
    ended_at: momentView(wave.endedAt),
    approved_by: [...wave.approvedBy],
  };
};

const glassView = (glass: BrokenGlass | undefined): Rollout['break_glass'] =>
  glass === undefined
    ? null
    : {
        by: glass.by,
        by_name: glass.byName,
        reason: glass.reason,
        at: toIso(glass.at),
        until: toIso(glass.until),
      };

export const rolloutView = ({ meta, state }: StoredRollout): Rollout => ({
  id: meta.id,
  product: meta.product,
  version: meta.version,
  channel: meta.channel,
  strategy: meta.strategy,
  scope: { kind: meta.scopeKind, id: meta.scopeId },
  group_id: meta.groupId,
  status: state.status,
  reason: state.reason,
  waves: state.waves.map((wave) => waveView(wave, state.plan)),
  skipped: [...meta.skipped],
  reverts: meta.reverts,
  plan: meta.madeBy?.plan ?? null,
  schedule: meta.madeBy?.schedule ?? null,
  break_glass: glassView(state.glass),
  created_by: meta.createdBy,
  created_at: toIso(meta.createdAt),
  updated_at: toIso(state.updatedAt),
});

export const targetView = (target: StoredTarget): Answer<'rollouts.targets'>['items'][number] => ({
  node_id: target.nodeId,
  node_name: target.nodeName,
  wave: target.wave,
  state: target.state,
  reason: target.reason,
  from_version: target.fromVersion,
  offline: target.offline,
  command_id: target.commandId,
  error_code: target.errorCode,
  updated_at: toIso(target.updatedAt),
});
