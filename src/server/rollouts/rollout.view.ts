import { toIso } from '../../core/kernel/index.js';
import { TARGET_STATES, verdictOf, type WaveState } from '../../core/rollout/index.js';
import type { Answer, Rollout } from '../../protocol/api/index.js';
import type { StoredRollout, StoredTarget } from './rollouts.store.js';

const waveView = (wave: WaveState): Rollout['waves'][number] => ({
  index: wave.index,
  status: wave.status,
  size: wave.size,
  verdict: verdictOf(wave),
  // Only states that hold someone: thirteen zeros a wave tell nobody anything.
  counts: Object.fromEntries(
    TARGET_STATES.filter((state) => wave.counts[state] > 0).map((s) => [s, wave.counts[s]]),
  ),
  opened_at: wave.openedAt === null ? null : toIso(wave.openedAt),
  settles_at: wave.settlesAt === null ? null : toIso(wave.settlesAt),
});

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
  waves: state.waves.map(waveView),
  skipped: [...meta.skipped],
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
  command_id: target.commandId,
  error_code: target.errorCode,
  updated_at: toIso(target.updatedAt),
});
