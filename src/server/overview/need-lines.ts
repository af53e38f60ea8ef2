import { toIso } from '../../core/kernel/index.js';
import type { RolloutState } from '../../core/rollout/index.js';
import { ERRORS, isErrorCode, type Severity } from '../../protocol/index.js';
import type { Answer } from '../../protocol/api/index.js';

export type Need = Answer<'needs.list'>['items'][number];

export const SEVERITY_RANK: Readonly<Record<Severity, number>> = {
  critical: 0,
  warning: 1,
  info: 2,
};

export interface RolloutLine {
  readonly id: string;
  readonly group_id: string;
  readonly product: string;
  readonly version: string;
  readonly status: string;
  readonly state: Omit<RolloutState, 'plan'>;
  readonly updated_at: number;
}

const nodes = (count: number): string => (count === 1 ? '1 node' : `${count} nodes`);
const spoken = (code: string): string => code.replaceAll('_', ' ');

/** That it is paused, or a wave that waits for an approval; nothing while it goes on by itself. */
export function rolloutNeeds(row: RolloutLine): Need[] {
  const { state } = row;
  const common = {
    target: { kind: 'rollout', id: row.id, path: `/rollouts/${row.id}` },
    group_id: row.group_id,
    count: 1,
    at: toIso(row.updated_at),
  };
  const what = `${row.product} ${row.version}`;
  if (row.status === 'paused') {
    const failed = state.waves.reduce(
      (sum, { counts }) => sum + counts.failed + counts.rolled_back,
      0,
    );
    const also = failed === 0 ? '' : `; ${nodes(failed)} failed`;
    return [
      {
        ...common,
        kind: 'rollout_paused',
        severity: state.reason === 'paused_by_operator' ? 'warning' : 'critical',
        code: state.reason,
        message: `The rollout of ${what} is paused: ${spoken(state.reason)}${also}.`,
        fix: 'Look at the nodes that failed, then resume, revert or cancel.',
      },
    ];
  }
  return state.waves
    .filter(({ status, reason }) => status !== 'passed' && reason === 'waiting_for_approval')
    .map(({ index }) => ({
      ...common,
      kind: 'approval_waiting' as const,
      severity: 'warning' as const,
      code: 'waiting_for_approval',
      message: `Wave ${index + 1} of the rollout of ${what} waits for an approval.`,
      fix: 'Look at the verdict of the waves before it, then approve or cancel.',
    }));
}

export function failedNeed({ code, n }: { readonly code: string; readonly n: number }): Need {
  const row = isErrorCode(code) ? ERRORS[code] : null;
  return {
    kind: 'upgrade_failed',
    severity: row?.severity === 'critical' ? 'critical' : 'warning',
    code: code === '' ? 'upgrade_failed' : code,
    message: `The last upgrade failed on ${nodes(n)}${row === null ? '.' : `: ${row.meaning}`}`,
    fix: row?.fix ?? 'Open one of them: its history has the step that failed.',
    target: { kind: 'nodes', id: code, path: '/nodes?upgrade=failed' },
    group_id: null,
    count: n,
    at: null,
  };
}

export function silentNeed({
  n,
  since,
}: {
  readonly n: number;
  readonly since: number | null;
}): Need {
  return {
    kind: 'node_silent',
    severity: 'warning',
    code: 'node_silent',
    message: `${nodes(n)} did not say anything for a quarter of an hour or longer.`,
    fix: 'Ask each with `bellwether-agent status`; revoke those that are gone for good.',
    target: {
      kind: 'nodes',
      id: 'offline',
      path: '/nodes?status=offline&sort=last_seen_at&order=asc',
    },
    group_id: null,
    count: n,
    at: since === null ? null : toIso(since),
  };
}

export const alertNeed = (row: {
  readonly id: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly group_id: string | null;
  readonly message: string;
  readonly raised_at: number;
}): Need => ({
  kind: 'alert_open',
  severity: row.severity,
  code: row.rule,
  message: row.message,
  fix: 'Look into it; then say that it is dealt with.',
  target: { kind: 'alert', id: row.id, path: '/alerts' },
  group_id: row.group_id,
  count: 1,
  at: toIso(row.raised_at),
});

export function sinkNeed(row: {
  readonly id: string;
  readonly name: string;
  readonly group_id: string | null;
  readonly is_paused: number;
  readonly circuit_since: number;
  readonly error_code: string | null;
  readonly updated_at: number;
}): Need {
  const target = { kind: 'sink', id: row.id, path: `/sinks/${row.id}` };
  const isPaused = row.is_paused === 1;
  const code = row.error_code ?? 'sink_unreachable';
  const known = isErrorCode(code) ? ERRORS[code] : null;
  return isPaused
    ? {
        kind: 'sink_paused',
        severity: 'info',
        code: 'paused_by_operator',
        message: `The sink ${JSON.stringify(row.name)} is paused: nothing is delivered.`,
        fix: 'Resume it; it goes on where it stopped, as far as events are kept.',
        target,
        group_id: row.group_id,
        count: 1,
        at: toIso(row.updated_at),
      }
    : {
        kind: 'sink_failing',
        severity: 'critical',
        code,
        message: `The sink ${JSON.stringify(row.name)} does not take events${known === null ? '.' : `: ${known.meaning}`}`,
        fix: known?.fix ?? 'Mend the receiver, then resume the sink to try at once.',
        target,
        group_id: row.group_id,
        count: 1,
        at: toIso(row.circuit_since),
      };
}

export const tokenNeed = (row: {
  readonly id: string;
  readonly name: string;
  readonly group_id: string | null;
  readonly expires_at: number;
}): Need => ({
  kind: 'token_expiring',
  severity: 'warning',
  code: 'token_expires_soon',
  message: `The API token ${JSON.stringify(row.name)} ends at ${toIso(row.expires_at)}.`,
  fix: 'Rotate it, and give the new secret to whoever uses it.',
  target: { kind: 'token', id: row.id, path: '/access?tab=tokens' },
  group_id: row.group_id,
  count: 1,
  at: toIso(row.expires_at),
});

export const documentNeed = (
  row: {
    readonly kind: string;
    readonly product: string;
    readonly channel: string;
    readonly expires_at: number;
  },
  now: number,
): Need => ({
  kind: 'document_expiring',
  severity: row.expires_at <= now ? 'critical' : 'warning',
  code: row.expires_at <= now ? 'channel_index_expired' : 'channel_index_expires_soon',
  message: `The signed index of ${row.product} on ${row.channel} ends at ${toIso(row.expires_at)}; nodes that ask for one take nothing after it.`,
  fix: 'Sign a new index and hand it in, best from the pipeline, every day.',
  target: { kind: 'product', id: row.product, path: `/releases?product=${row.product}` },
  group_id: null,
  count: 1,
  at: toIso(row.expires_at),
});
