import type { Report, TargetState } from '../../core/rollout/index.js';
import type { NodeEvent, NodeEventType, ServiceReport } from '../../protocol/node/index.js';
import type { ActiveTarget } from './tables/targets.store.js';

/** What each lifecycle event says about its target; other events say nothing. */
const STATE_OF: Partial<Record<NodeEventType, TargetState>> = {
  upgrade_started: 'downloading',
  upgrade_downloaded: 'downloading',
  upgrade_verified: 'downloading',
  upgrade_staged: 'staged',
  upgrade_staged_manual: 'staged',
  upgrade_swapping: 'swapping',
  upgrade_probation: 'probation',
  upgrade_completed: 'succeeded',
  upgrade_rolled_back: 'rolled_back',
  upgrade_refused: 'failed',
  upgrade_withdrawn: 'cancelled',
  upgrade_download_failed: 'failed',
  upgrade_verify_failed: 'failed',
  upgrade_stage_failed: 'failed',
  upgrade_swap_failed: 'failed',
  upgrade_rollback_failed: 'failed',
};

const STATE_OF_RESULT = {
  succeeded: 'succeeded',
  failed: 'failed',
  rolled_back: 'rolled_back',
  withdrawn: 'cancelled',
} as const satisfies Record<string, TargetState>;

/** How far a node is with a command. */
export type Progress = Extract<Report, { kind: 'progress' }>;

export const progress = (commandId: string, state: TargetState, reason: string): Progress => ({
  kind: 'progress',
  commandId,
  state,
  reason,
  errorCode: null,
});

/** What a lifecycle event says of its target; null for others. */
export function reportOf(event: NodeEvent): Progress | null {
  const state = STATE_OF[event.type];
  if (state === undefined || event.command_id === null) return null;
  const code = event.details['error_code'];
  return {
    kind: 'progress',
    commandId: event.command_id,
    state,
    reason: event.type,
    errorCode: typeof code === 'string' ? code : null,
  };
}

/** How the last upgrade of a service ended, as `hello` tells it. */
export function reportsOf(service: ServiceReport): Progress[] {
  if (service.outcome === null) return [];
  const { command_id, result, error_code } = service.outcome;
  return [
    {
      kind: 'progress',
      commandId: command_id,
      state: STATE_OF_RESULT[result],
      reason: `hello_${result}`,
      errorCode: error_code,
    },
  ];
}

/** Null in the middle of an update, when the version says nothing yet. */
export function versionOf(services: readonly ServiceReport[], service: string): string | null {
  const found = services.find((one) => one.name === service);
  return found?.phase === 'idle' ? found.version : null;
}

/** What a node said of itself. */
export interface Said {
  readonly node: { readonly nodeId: string };
  /** How its last upgrades ended. */
  readonly reports: readonly Progress[];
  readonly services: readonly ServiceReport[];
  /** It came a moment ago. */
  readonly isOnline: boolean;
}

export const commandsIn = (said: readonly Pick<Said, 'reports'>[]): string[] =>
  said.flatMap(({ reports }) => reports.map(({ commandId }) => commandId));
export const nodeIdOf = ({ node }: Said): string => node.nodeId;
/** In the middle of an update a report says nothing to the rollout. */
export const concerns = ({ node, isOnline, services }: Said, claim: ActiveTarget): boolean =>
  claim.nodeId === node.nodeId && (isOnline || versionOf(services, claim.service) !== null);
