import {
  FleetError,
  HOUR_MS,
  instant,
  plus,
  SECOND_MS,
  type Instant,
} from '../../core/kernel/index.js';
import {
  problemsOfRules,
  problemsOfWindow,
  rulesOf,
  type CustomWaveSpec,
  type CutRules,
  type Limit,
  type Plan,
  type PresetSpec,
  type RingSpec,
  type Selector,
  type StartSpec,
  type Strategy,
  type Tolerance,
  type WindowRule,
} from '../../core/rollout/index.js';
import type { PlanTerms, CreateRollout } from '../../protocol/api/index.js';

/** What somebody asks for, or a plan holds: all but where it goes. */
type Asked = PlanTerms & Pick<CreateRollout, 'apply_after' | 'start_version'>;
type AskedRing = Asked['rings'][number];
type AskedWave = Asked['waves'][number];
type AskedLimit = NonNullable<Asked['max_unavailable']>;
type AskedWindow = NonNullable<AskedRing['window']>;

/** How the ids of a group and of those below it are found. */
export type Subtree = (groupId: string) => Promise<readonly string[]>;

/** One thing that is wrong with a request, and where in it. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

/** A plan in the words of the machine. */
export interface Terms {
  readonly preset: PresetSpec;
  readonly start: StartSpec;
  readonly terms: Omit<Plan, 'waves' | 'createdAt' | 'strategy' | 'order'>;
  readonly cut: Pick<CutRules, 'domain' | 'strata'>;
  readonly startVersion: string | null;
  readonly reverts: null;
  readonly problems: readonly Problem[];
}

/** What somebody asked for over HTTP in the words of the machine. */
export async function termsOf(
  asked: Asked,
  subtree: Subtree,
  options: { readonly now: Instant; readonly approvals: number },
): Promise<Terms> {
  const { expires_after_seconds: expires, domain } = asked;
  return {
    preset: await presetOf(asked, subtree),
    start: {
      applyAfter: asked.apply_after === null ? null : momentOf(asked.apply_after),
      approvals: options.approvals,
      order: asked.strategy === 'scheduled' ? asked.order : 'sequential',
    },
    terms: {
      nodeDeadlineMs: asked.node_deadline_seconds * SECOND_MS,
      maxUnavailable: asked.max_unavailable === null ? null : limitIn(asked.max_unavailable),
      expiresAt: expires === null ? null : plus(options.now, expires * SECOND_MS),
      spreadMs: asked.spread_seconds * SECOND_MS,
    },
    cut: {
      domain: domain === null ? null : { label: domain.label, limit: limitIn(domain.max) },
      strata: asked.strata,
    },
    startVersion: asked.strategy === 'scheduled' ? asked.start_version : null,
    reverts: null,
    problems: problemsOf(asked, options.now),
  };
}

const momentOf = (text: string): Instant => instant(Date.parse(text));

export const limitIn = (limit: AskedLimit): Limit =>
  typeof limit === 'number' ? { count: limit } : { percent: Number(limit.slice(0, -1)) };

const toleranceOf = (asked: Asked['tolerate']): Tolerance => ({
  failures: asked.failures === null ? null : limitIn(asked.failures),
  offline: asked.offline === null ? null : limitIn(asked.offline),
  silent: asked.silent === null ? null : limitIn(asked.silent),
});

/** A window of the interface as a rule. */
export const windowOf = ({
  days,
  start,
  duration_minutes,
  time_zone,
}: AskedWindow): WindowRule => ({
  days,
  startMinute: Number(start.slice(0, 2)) * 60 + Number(start.slice(3)),
  durationMinutes: duration_minutes,
  timeZone: time_zone,
});

function problemsOf(asked: Asked, now: Instant): Problem[] {
  const problems: Problem[] = [];
  const needs = (path: 'rings' | 'waves', strategy: Asked['strategy']): void => {
    if (asked.strategy === strategy && asked[path].length === 0) {
      problems.push({ path, message: `a ${strategy} rollout needs at least one` });
    }
  };
  needs('rings', 'scheduled');
  needs('waves', 'custom');
  problems.push(...problemsOfWindows(asked), ...problemsOfWaits(asked));
  problems.push(...problemsOfTimes(asked, now));
  return problems;
}

/** Hours are counted from the ring before; whoever asks for both has not decided yet. */
function problemsOfWaits({ strategy, order, rings }: Asked): Problem[] {
  if (strategy !== 'scheduled' || order !== 'independent') return [];
  return rings.flatMap(({ wait_hours: hours }, i) =>
    hours === 0
      ? []
      : [{ path: `rings.${i}.wait_hours`, message: 'independent rings wait for no other' }],
  );
}

/** Whether there is time between the earliest start and the end. */
export function problemsOfTimes(
  asked: Pick<Asked, 'apply_after' | 'expires_after_seconds'>,
  now: Instant,
): Problem[] {
  const { apply_after: after, expires_after_seconds: expires } = asked;
  if (after === null || expires === null) return [];
  if (momentOf(after) < now + expires * SECOND_MS) return [];
  return [{ path: 'apply_after', message: 'is after the rollout has expired' }];
}

function problemsOfWindows(asked: Asked): Problem[] {
  const rings = asked.rings.flatMap((ring, i) =>
    ring.window === null ? [] : [{ path: `rings.${i}.window`, window: ring.window }],
  );
  const waves = asked.waves.flatMap((wave, i) =>
    wave.windows.map((window, w) => ({ path: `waves.${i}.windows.${w}`, window })),
  );
  return [...rings, ...waves].flatMap(({ path, window }) =>
    problemsOfWindow(windowOf(window)).map((message) => ({ path, message })),
  );
}

async function presetOf(asked: Asked, subtree: Subtree): Promise<PresetSpec> {
  const settleMs = asked.settle_seconds * SECOND_MS;
  const tolerance = toleranceOf(asked.tolerate);
  const proof = { settleMs, tolerance };
  switch (asked.strategy) {
    case 'staged':
      return { strategy: 'staged', percents: asked.wave_percents, ...proof };
    case 'rolling':
      return { strategy: 'rolling', stepPercent: asked.step_percent, ...proof };
    case 'canary':
      return { strategy: 'canary', percent: asked.canary_percent, ...proof };
    case 'immediate':
      return { strategy: 'immediate' };
    case 'scheduled':
      return {
        strategy: 'scheduled',
        rings: await Promise.all(asked.rings.map((ring) => ringOf(ring, subtree))),
        donePercent: asked.done_percent,
        ...proof,
      };
    case 'custom':
      return {
        strategy: 'custom',
        waves: await Promise.all(asked.waves.map((wave, i) => waveOf(wave, i, subtree))),
      };
  }
}

async function selectorOf(asked: AskedRing | AskedWave, subtree: Subtree): Promise<Selector> {
  if (asked.percent !== undefined) return { by: 'percent', percent: asked.percent };
  if (asked.count !== undefined) return { by: 'count', count: asked.count };
  if (asked.label !== undefined) return { by: 'label', ...asked.label };
  if (asked.ring !== undefined) return { by: 'ring', ring: asked.ring };
  if (asked.group_id === undefined) return { by: 'rest' };
  return { by: 'group', groupIds: await subtree(asked.group_id) };
}

const ringOf = async (ring: AskedRing, subtree: Subtree): Promise<RingSpec> => ({
  name: ring.name,
  selector: await selectorOf(ring, subtree),
  window: ring.window === null ? null : windowOf(ring.window),
  waitMs: ring.wait_hours * HOUR_MS,
  canaryCount: ring.canary_count,
});

const waveOf = async (
  wave: AskedWave,
  index: number,
  subtree: Subtree,
): Promise<CustomWaveSpec> => ({
  name: wave.name ?? `wave ${index + 1}`,
  selector: await selectorOf(wave, subtree),
  canaryCount: wave.canary_count,
  settleMs: wave.settle_seconds * SECOND_MS,
  tolerance: toleranceOf(wave.tolerate),
  approvals: wave.approvals,
  windows: wave.windows.map(windowOf),
  waitMs: wave.wait_hours * HOUR_MS,
  notBefore: wave.not_before === null ? null : momentOf(wave.not_before),
});

/**
 * Holds terms that are only stored against all that can be told without a release and without nodes. Throws
 * `rollout_plan_invalid` with every problem, each with its place.
 */
export async function checkTerms(asked: PlanTerms, subtree: Subtree, now: Instant): Promise<void> {
  const options = { now, approvals: 0 };
  const request = { ...asked, apply_after: null, start_version: null };
  const { preset, start, cut, problems } = await termsOf(request, subtree, options);
  const rules = rulesOf(preset, start);
  const found = [
    ...problems,
    ...momentsOf(asked),
    ...(rules.length === 0 ? [] : problemsOfRules({ ...cut, waves: rules, seed: '' })),
  ];
  if (found.length > 0) throw invalidPlan(asked.strategy, found, 'terms.');
}

/** A plan is for releases to come: a moment in it would have passed for all but the first. */
const momentsOf = ({ waves }: PlanTerms): Problem[] =>
  waves.flatMap(({ not_before: moment }, i) =>
    moment === null
      ? []
      : [
          {
            path: `waves.${i}.not_before`,
            message: 'a stored plan holds no moment: take a window',
          },
        ],
  );

/** Where each problem is in what was asked for; one a place. */
function asAsked(strategy: Strategy, problems: readonly Problem[]): Problem[] {
  const byPath = new Map<string, Problem>();
  for (const problem of problems) {
    const path = problem.path
      .replace(/^waves\.(\d+)\..*$/, strategy === 'staged' ? 'wave_percents.$1' : '$&')
      .replace(/^waves/, strategy === 'scheduled' ? 'rings' : '$&')
      .replace(/\.selector\.key$/, '.label.key')
      .replace('.selector', '')
      .replace('canaryCount', 'canary_count')
      .replace(/^domain\.limit.*$/, 'domain.max');
    if (!byPath.has(path)) byPath.set(path, { ...problem, path });
  }
  return [...byPath.values()];
}

/** Every problem at once, so that nobody mends a plan line by line; `place` is where in the request it is. */
export function invalidPlan(strategy: Strategy, found: readonly Problem[], place = ''): FleetError {
  const problems = asAsked(strategy, found).map(({ path, message }) => ({
    path: `${place}${path}`,
    message,
  }));
  const list = problems.map(({ path, message }) => `${path}: ${message}`).join('; ');
  return new FleetError('rollout_plan_invalid', list, { context: { problems } });
}
