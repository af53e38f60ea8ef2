import { HOUR_MS, instant, MINUTE_MS, plus } from '../../core/kernel/index.js';
import {
  STRICT,
  type CustomWaveSpec,
  type Limit,
  type PresetSpec,
  type Selector,
  type Tolerance,
  type WindowRule,
} from '../../core/rollout/index.js';
import type { Chance } from './chance.js';
import type { RolloutRequest, Scope } from './parts.js';

export const ROOT_GROUP = 'grp_default';
export const GROUPS = ['grp_sim_a1', 'grp_sim_b1'] as const;
/** From the root down to each group, itself included. */
export const PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  [ROOT_GROUP, [ROOT_GROUP]],
  [GROUPS[0], [ROOT_GROUP, GROUPS[0]]],
  [GROUPS[1], [ROOT_GROUP, GROUPS[0], GROUPS[1]]],
]);

/** The first one runs on each node at the start and is good everywhere. */
export const VERSIONS = ['1.0.0', '2.0.0', '3.0.0'] as const;

/** A world before anything happened in it. */
export interface Scenario {
  readonly nodes: number;
  /** So many more enroll later. */
  readonly latecomers: number;
  /** How likely a node is one on which a version fails, by version. */
  readonly badness: ReadonlyMap<string, number>;
  readonly manualOnly: number;
  /** Asked for at the start, whatever else operators do. */
  readonly firstRollouts: number;
  readonly chaosMs: number;
  /** How often operators do something, on average. */
  readonly verbEveryMs: number;
}

export function scenarioOf(chance: Chance): Scenario {
  const badness = (): number => chance.pick([0, 0, 0, 0.1, 0.3, 1]);
  return {
    nodes: chance.int(2, 9),
    latecomers: chance.hit(0.2) ? chance.int(1, 2) : 0,
    badness: new Map([
      ['2.0.0', badness()],
      ['3.0.0', badness()],
    ]),
    manualOnly: chance.hit(0.1) ? 0.3 : 0,
    firstRollouts: chance.int(1, 3),
    chaosMs: chance.spread(10 * MINUTE_MS, 8 * HOUR_MS),
    verbEveryMs: chance.spread(2 * MINUTE_MS, 3 * HOUR_MS),
  };
}

export const labelsOf = (chance: Chance): Record<string, string> => ({
  ring: chance.pick(['a', 'b']),
  site: chance.pick(['fra', 'ams']),
});

const limit = (chance: Chance): Limit =>
  chance.hit(0.5) ? { count: chance.int(1, 3) } : { percent: chance.pick([10, 25, 50]) };

const tolerance = (chance: Chance): Tolerance =>
  chance.hit(0.6)
    ? STRICT
    : {
        failures: chance.pick([null, { count: 1 }, { percent: 30 }]),
        offline: chance.pick([null, { count: 0 }, { count: 1 }]),
        silent: chance.pick([null, { percent: 50 }, { percent: 90 }]),
      };

const settle = (chance: Chance): number => chance.pick([0, 1_000, 60_000, 300_000, 30 * MINUTE_MS]);

/** Every day, so that a run never waits for a week. */
const window = (chance: Chance): WindowRule => ({
  days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'],
  startMinute: chance.int(0, 23) * 60,
  durationMinutes: chance.pick([60, 240, 720, 1_200]),
  timeZone: 'UTC',
});

function preset(chance: Chance): PresetSpec {
  const proof = { settleMs: settle(chance), tolerance: tolerance(chance) };
  switch (chance.int(0, 6)) {
    case 0:
    case 1:
      return {
        strategy: 'staged',
        percents: chance.pick([[10, 50, 100], [100], [30, 100]]),
        ...proof,
      };
    case 2:
      return { strategy: 'rolling', stepPercent: chance.pick([10, 25, 50]), ...proof };
    case 3:
      return { strategy: 'canary', percent: chance.pick([10, 40]), ...proof };
    case 4:
      return { strategy: 'immediate' };
    case 5:
      return {
        strategy: 'scheduled',
        rings: ['a', 'b'].map((name, index) => ({
          name,
          selector: { by: 'label', key: 'ring', value: name },
          window: chance.hit(0.6) ? window(chance) : null,
          waitMs: index === 0 ? 0 : chance.pick([0, 20 * MINUTE_MS, 2 * HOUR_MS]),
          canaryCount: chance.pick([0, 0, 1]),
        })),
        donePercent: chance.pick([60, 100]),
        ...proof,
      };
    default:
      return { strategy: 'custom', waves: customWaves(chance) };
  }
}

function customWaves(chance: Chance): CustomWaveSpec[] {
  const selectors: Selector[] = [{ by: 'count', count: chance.int(1, 2) }, { by: 'rest' }];
  return selectors.map((selector, index) => ({
    name: `wave ${index + 1}`,
    selector,
    canaryCount: chance.pick([0, 1]),
    settleMs: settle(chance),
    tolerance: tolerance(chance),
    approvals: chance.pick([0, 0, 1, 2]),
    windows: chance.hit(0.3) ? [window(chance)] : [],
    waitMs: chance.pick([0, 10 * MINUTE_MS]),
    notBefore: null,
  }));
}

/** Which nodes: of a group with or without those below, some by label, id or exception. */
export function scopeOf(chance: Chance, nodeIds: readonly string[]): Scope {
  return {
    groupId: chance.pick([ROOT_GROUP, ROOT_GROUP, ...GROUPS]),
    subgroups: chance.hit(0.8),
    labels: chance.hit(0.15) ? { site: chance.pick(['fra', 'ams']) } : {},
    nodeIds: chance.hit(0.15) ? chance.some(nodeIds, 0.6) : null,
    exclude: chance.hit(0.2) ? chance.some(nodeIds, 0.2) : [],
  };
}

/** All of a request but the nodes and the release. */
export function termsOf(
  chance: Chance,
  now: number,
): Pick<
  RolloutRequest,
  'preset' | 'start' | 'terms' | 'cut' | 'startVersion' | 'reverts' | 'kind'
> {
  const chosen = preset(chance);
  const isScheduled = chosen.strategy === 'scheduled';
  return {
    kind: 'group',
    preset: chosen,
    start: {
      applyAfter: chance.hit(0.1) ? plus(instant(now), chance.spread(1_000, HOUR_MS)) : null,
      approvals: chance.hit(0.15) ? chance.int(1, 2) : 0,
      order: isScheduled && chance.hit(0.3) ? 'independent' : 'sequential',
    },
    terms: {
      nodeDeadlineMs: chance.spread(2 * MINUTE_MS, 40 * MINUTE_MS),
      maxUnavailable: chance.hit(0.5) ? limit(chance) : null,
      expiresAt: chance.hit(0.25) ? plus(instant(now), chance.spread(HOUR_MS, 40 * HOUR_MS)) : null,
      spreadMs: chance.hit(0.2) ? chance.spread(1_000, 20 * MINUTE_MS) : 0,
    },
    cut: {
      domain: chance.hit(0.15) ? { label: 'site', limit: { count: chance.int(1, 3) } } : null,
      strata: [],
    },
    startVersion: isScheduled && chance.hit(0.3) ? '1.0.0' : null,
    reverts: null,
  };
}
