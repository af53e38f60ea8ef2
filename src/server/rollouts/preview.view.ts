import { durationInWords, toIso, type Instant } from '../../core/kernel/index.js';
import { artifactFor } from '../../core/release/index.js';
import { forecast, usualMs, type Gate, type Limit } from '../../core/rollout/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { workloadOf, type FleetNode } from '../fleet/index.js';
import type { StoredRelease } from '../releases/index.js';
import type { Planned } from './planning.js';
import { momentView } from './rollout.view.js';

/** Of each wave only so many nodes are named: the rest is in the sizes. */
const NODES_SHOWN_MAX = 100;
/** Until the manager has seen enough upgrades: fetch, swap and probation of a small service. */
const NODE_TAKES_MS = 150_000;

type Preview = Answer<'rollouts.preview'>;

/**
 * A plan as a person reads it before anything happens. Times are the earliest ones (see `forecast`), with
 * nodes that take as long as they usually did here.
 */
export function previewView(
  { meta, rollout, targets }: Planned,
  looked: {
    readonly nodes: readonly FleetNode[];
    readonly release: StoredRelease;
    /** How long the last upgrades of this product took, each from offer to success. */
    readonly tookMs: readonly number[];
    readonly now: Instant;
  },
): Preview {
  const usual = usualMs(looked.tookMs);
  const times = forecast(rollout, looked.now, usual ?? NODE_TAKES_MS);
  return {
    product: meta.product,
    version: meta.version,
    channel: meta.channel,
    strategy: meta.strategy,
    waves: rollout.plan.waves.map((wave, index) => {
      const of = targets.filter((target) => target.wave === index);
      return {
        index,
        name: wave.name,
        ring: wave.ring,
        part: wave.part,
        size: of.length,
        nodes: of.slice(0, NODES_SHOWN_MAX).map((target) => ({
          id: target.nodeId,
          name: target.nodeName,
          from_version: target.fromVersion,
        })),
        opens_when: wave.opens.map(gateText),
        passes_when: wave.passes.map(gateText),
        opens_at: momentView(times.opens[index] ?? null),
      };
    }),
    skipped: [...meta.skipped],
    duration_seconds: times.ends === null ? null : Math.ceil((times.ends - looked.now) / 1_000),
    duration_from: usual === null ? 'estimate' : 'history',
    download_bytes: bytesOf(targets, looked),
  };
}

const textOfLimit = (limit: Limit | null, what: string): string => {
  if (limit === null) return `any number of ${what}`;
  return 'count' in limit ? `at most ${limit.count} ${what}` : `at most ${limit.percent} % ${what}`;
};

function gateText(gate: Gate): string {
  switch (gate.kind) {
    case 'settle':
      return gate.ms === 0 ? 'at once' : `${durationInWords(gate.ms)} have passed quietly`;
    case 'verdict':
      return [
        textOfLimit(gate.failures, 'failed'),
        textOfLimit(gate.offline, 'away'),
        textOfLimit(gate.silent, 'silent'),
      ].join(', ');
    case 'approval':
      return `${gate.needed} approval(s)`;
    case 'window':
      return gate.rules
        .map((rule) => {
          const hour = String(Math.floor(rule.startMinute / 60)).padStart(2, '0');
          const minute = String(rule.startMinute % 60).padStart(2, '0');
          const length = durationInWords(rule.durationMinutes * 60_000);
          return `${rule.days.join(', ')} from ${hour}:${minute} ${rule.timeZone} for ${length}`;
        })
        .join('; ');
    case 'wait':
      return `${durationInWords(gate.ms)} after the wave before it opened`;
    case 'not_before':
      return `not before ${toIso(gate.at)}`;
  }
}

function bytesOf(
  targets: Planned['targets'],
  { nodes, release }: { readonly nodes: readonly FleetNode[]; readonly release: StoredRelease },
): number {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return targets.reduce((sum, { nodeId, service }) => {
    const node = byId.get(nodeId);
    const variant = node?.services.find((one) => one.name === service)?.variant ?? 'default';
    // What a cluster pulls from its registry is not known here.
    if (node === undefined || workloadOf(node) !== null) return sum;
    const { os, arch } = node.host;
    return sum + (artifactFor(release.manifest, { os, arch, variant })?.size ?? 0);
  }, 0);
}
