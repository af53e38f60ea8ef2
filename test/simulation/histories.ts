import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  STRICT,
  type PresetSpec,
  type RolloutEvent,
  type TargetState,
  type Verb,
} from '../../src/core/rollout/index.js';
import { instant } from '../../src/core/kernel/index.js';
import { step, type Facts, type Input, type Machine } from '../../src/core/update/index.js';
import { members, RolloutFleet, T0 } from '../support/rollout-fleet.js';

export const RECORDED = fileURLToPath(new URL('recorded/', import.meta.url));

/** One input to a rollout. Nodes are named by their place in the fleet. */
export type RolloutInput =
  | { readonly do: 'report'; readonly node: number; readonly state: TargetState }
  | { readonly do: 'swap' | 'away' | 'back' | 'drift' | 'by_hand'; readonly node: number }
  | { readonly do: 'verb'; readonly verb: Verb }
  | { readonly do: 'mode'; readonly mode: 'enabled' | 'suspended' }
  | { readonly do: 'pass'; readonly ms: number };

export interface RolloutWorld {
  readonly nodes: number;
  readonly preset: PresetSpec;
  readonly approvals: number;
  readonly expiresMs: number | null;
  readonly maxUnavailable: { readonly count: number } | null;
}

/** What went into a rollout and what it decided, step by step. */
export interface RolloutHistory {
  readonly kind: 'rollout';
  readonly world: RolloutWorld;
  /** What it decided at its creation. */
  readonly first: readonly RolloutEvent[];
  readonly steps: readonly {
    readonly input: RolloutInput;
    readonly events: readonly RolloutEvent[];
  }[];
}

/** The same of the update machine of one node; `from` where it did not go on from the step before. */
export interface UpdateHistory {
  readonly kind: 'update';
  readonly steps: readonly {
    readonly from: Machine | null;
    readonly input: Input;
    readonly facts: Facts;
    readonly to: Machine;
  }[];
}

export type History = RolloutHistory | UpdateHistory;

export const historiesRecorded = (): { readonly name: string; readonly history: History }[] =>
  readdirSync(RECORDED)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => ({
      name,
      history: JSON.parse(readFileSync(`${RECORDED}${name}`, 'utf8')) as History,
    }));

export const PRESETS: readonly PresetSpec[] = [
  { strategy: 'staged', percents: [10, 50, 100], settleMs: 300_000, tolerance: STRICT },
  {
    strategy: 'staged',
    percents: [50, 100],
    settleMs: 0,
    tolerance: { ...STRICT, failures: null },
  },
  { strategy: 'rolling', stepPercent: 25, settleMs: 60_000, tolerance: STRICT },
  { strategy: 'canary', percent: 10, settleMs: 1_000, tolerance: STRICT },
  { strategy: 'immediate' },
  {
    strategy: 'scheduled',
    rings: ['a', 'b'].map((name, i) => ({
      name,
      selector: { by: 'label', key: 'ring', value: name },
      window: {
        days: ['mon', 'tue', 'wed'],
        startMinute: 600 + i * 90,
        durationMinutes: 240,
        timeZone: 'Europe/Berlin',
      },
      waitMs: i * 3_600_000,
      canaryCount: 1,
    })),
    donePercent: 90,
    settleMs: 60_000,
    tolerance: STRICT,
  },
];

export function fleetOf(world: RolloutWorld): RolloutFleet {
  return new RolloutFleet({
    preset: world.preset,
    members: members(world.nodes, (i) => ({ labels: { ring: i % 2 === 0 ? 'a' : 'b' } })),
    start: { approvals: world.approvals },
    terms: {
      expiresAt: world.expiresMs === null ? null : instant(T0 + world.expiresMs),
      maxUnavailable: world.maxUnavailable,
    },
  });
}

/** Gives a fleet one input; the answer is what was decided on it. */
export function give(fleet: RolloutFleet, input: RolloutInput): RolloutEvent[] {
  const length = fleet.journal.length;
  const nodeId = 'node' in input ? ([...fleet.targets.keys()][input.node] ?? '') : '';
  switch (input.do) {
    case 'report':
      fleet.report(nodeId, input.state);
      break;
    case 'swap':
      fleet.swap(nodeId);
      break;
    case 'away':
    case 'back':
      fleet.hear(nodeId, { kind: 'presence', online: input.do === 'back' });
      break;
    case 'drift':
    case 'by_hand':
      fleet.hear(nodeId, { kind: 'version', atTarget: input.do === 'by_hand' });
      break;
    case 'verb':
      fleet.verb(input.verb);
      break;
    case 'mode':
      fleet.circumstances = { ...fleet.circumstances, mode: input.mode };
      fleet.wake();
      break;
    case 'pass':
      fleet.pass(input.ms);
      break;
  }
  return fleet.journal.slice(length);
}

/** What is decided on the same inputs today. */
export function replay(history: History): History {
  if (history.kind === 'update') {
    let machine: Machine | null = null;
    const steps = history.steps.map(({ from, input, facts }) => {
      machine = step((from ?? machine) as Machine, input, facts);
      return { from, input, facts, to: machine };
    });
    return { kind: 'update', steps };
  }
  const fleet = fleetOf(history.world);
  const first = [...fleet.journal];
  const steps = history.steps.map(({ input }) => ({ input, events: give(fleet, input) }));
  return { kind: 'rollout', world: history.world, first, steps };
}
