import { lt } from 'semver';
import type { Answer, Node } from '../../protocol/api/index.js';
import type { UpgradeMode } from '../rollouts/index.js';

type Because = Answer<'nodes.why'>['services'][number]['because'][number];

const line = (code: string, message: string): Because => ({ code, message, until: null });

/**
 * Why a service that no rollout has is not newer: what would hold any rollout back, then that there is
 * none. Empty when there is nothing newer.
 */
export function whyNone(
  node: Node,
  service: Node['services'][number],
  { newest, mode }: { readonly newest: string | null; readonly mode: UpgradeMode },
): Because[] {
  if (newest === null || (service.version !== null && !lt(service.version, newest))) return [];
  return [
    ...ofGroup(mode),
    ...ofNode(node),
    ...ofService(service),
    line('no_rollout', `nobody rolls ${service.product} ${newest} out to this node`),
  ];
}

const ofGroup = (mode: UpgradeMode): Because[] =>
  mode === 'enabled' ? [] : [line(`upgrades_${mode}`, `upgrades are ${mode} for its group`)];

function ofNode({ status, upgrader }: Node): Because[] {
  if (status === 'revoked') return [line('node_revoked', 'the key of the node is revoked')];
  return [
    ...(status === 'offline' ? [line('node_offline', 'the node is away')] : []),
    ...(upgrader === 'none'
      ? [line('no_upgrader', 'the node never said that it can upgrade')]
      : []),
  ];
}

function ofService({ by_hand: byHand, outcome }: Node['services'][number]): Because[] {
  const pinned = byHand?.pin ?? null;
  return [
    ...(byHand?.enabled === false
      ? [line('disabled_by_hand', 'a person on the node turned upgrades off')]
      : []),
    ...(pinned === null ? [] : [line('pinned_by_hand', `a person on the node pinned ${pinned}`)]),
    ...ofOutcome(outcome),
  ];
}

function ofOutcome(outcome: Node['services'][number]['outcome']): Because[] {
  if (outcome === null || !['failed', 'rolled_back'].includes(outcome.result)) return [];
  const { error_code: code, version, result } = outcome;
  const end = result.replaceAll('_', ' ');
  return [line(code ?? 'upgrade_failed', `the last upgrade, to ${version}, ended as ${end}`)];
}
