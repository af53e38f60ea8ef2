import type { Instant } from '../kernel/index.js';
import type { WindowRule } from './calendar.js';
import type { CutWave, Limit, Selector } from './cut.js';
import type { Gate } from './types.js';

/** One rule of a plan: who, and what must be true before it opens and before it is through. */
export interface RulePlan extends CutWave {
  readonly opens: readonly Gate[];
  readonly passes: readonly Gate[];
  readonly canaryPasses: readonly Gate[];
  readonly doneAtPercent: number | null;
}

/** How much may go wrong in a wave before the rollout pauses; null: any amount. */
export interface Tolerance {
  readonly failures: Limit | null;
  readonly offline: Limit | null;
  readonly silent: Limit | null;
}

/**
 * Nothing may fail or go away, and at most half of those concerned may keep silent: below that, most
 * of the wave has spoken; above it, mostly absence has.
 */
export const STRICT: Tolerance = {
  failures: { count: 0 },
  offline: { count: 0 },
  silent: { percent: 50 },
};

export interface RingSpec {
  readonly name: string;
  readonly selector: Selector;
  readonly window: WindowRule | null;
  readonly waitMs: number;
  readonly canaryCount: number;
}

export interface CustomWaveSpec {
  readonly name: string;
  readonly selector: Selector;
  readonly canaryCount: number;
  readonly settleMs: number;
  readonly tolerance: Tolerance;
  readonly approvals: number;
  readonly windows: readonly WindowRule[];
  readonly waitMs: number;
  readonly notBefore: Instant | null;
}

export type PresetSpec =
  | {
      readonly strategy: 'staged';
      readonly percents: readonly number[];
      readonly settleMs: number;
      readonly tolerance: Tolerance;
    }
  | {
      readonly strategy: 'rolling';
      readonly stepPercent: number;
      readonly settleMs: number;
      readonly tolerance: Tolerance;
    }
  | {
      readonly strategy: 'canary';
      readonly percent: number;
      readonly settleMs: number;
      readonly tolerance: Tolerance;
    }
  | { readonly strategy: 'immediate' }
  | {
      readonly strategy: 'scheduled';
      readonly rings: readonly RingSpec[];
      readonly donePercent: number;
      readonly settleMs: number;
      readonly tolerance: Tolerance;
    }
  | { readonly strategy: 'custom'; readonly waves: readonly CustomWaveSpec[] };

/** What holds for the whole rollout and becomes a gate of its first wave (of each, when independent). */
export interface StartSpec {
  readonly applyAfter: Instant | null;
  /** So many people must approve before anything starts; 0: none. */
  readonly approvals: number;
  readonly order: 'sequential' | 'independent';
}

/**
 * The rules that a preset stands for. Every wave settles, the last one too: a rollout is complete
 * when nothing fell over in that time.
 */
export function rulesOf(preset: PresetSpec, start: StartSpec): RulePlan[] {
  const opening: Gate[] = [];
  if (start.approvals > 0) opening.push({ kind: 'approval', needed: start.approvals });
  if (start.applyAfter !== null) opening.push({ kind: 'not_before', at: start.applyAfter });
  return presetRules(preset).map((rule, index) =>
    index === 0 || start.order === 'independent'
      ? { ...rule, opens: mergedOpens([...opening, ...rule.opens]) }
      : rule,
  );
}

/** Two approval gates on one wave are one: the larger. */
function mergedOpens(gates: readonly Gate[]): Gate[] {
  const needed = gates.reduce(
    (n, gate) => (gate.kind === 'approval' ? Math.max(n, gate.needed) : n),
    0,
  );
  const others = gates.filter((gate) => gate.kind !== 'approval');
  return needed > 0 ? [{ kind: 'approval', needed }, ...others] : others;
}

const proof = (settleMs: number, tolerance: Tolerance): Gate[] => [
  { kind: 'settle', ms: settleMs },
  { kind: 'verdict', ...tolerance },
];

const rule = (
  wave: Pick<CutWave, 'name' | 'selector'>,
  passes: readonly Gate[],
  opens: readonly Gate[] = [],
): RulePlan => ({
  ...wave,
  canaryCount: 0,
  opens,
  passes,
  canaryPasses: [],
  doneAtPercent: null,
});

function presetRules(preset: PresetSpec): RulePlan[] {
  switch (preset.strategy) {
    case 'staged':
      return percentRules(preset.percents, proof(preset.settleMs, preset.tolerance));
    case 'rolling':
      return percentRules(stepsOf(preset.stepPercent), proof(preset.settleMs, preset.tolerance));
    case 'canary': {
      const passes = proof(preset.settleMs, preset.tolerance);
      return [
        rule({ name: 'canaries', selector: { by: 'percent', percent: preset.percent } }, passes),
        rule({ name: 'the rest', selector: { by: 'rest' } }, passes, [
          { kind: 'approval', needed: 1 },
        ]),
      ];
    }
    case 'immediate':
      return [rule({ name: 'all at once', selector: { by: 'rest' } }, [])];
    case 'scheduled':
      return preset.rings.map((ring) => ringRule(ring, preset));
    case 'custom':
      return preset.waves.map(customRule);
  }
}

const percentRules = (percents: readonly number[], passes: readonly Gate[]): RulePlan[] =>
  percents.map((percent) =>
    rule({ name: `${percent} %`, selector: { by: 'percent', percent } }, passes),
  );

/** 25 gives 25, 50, 75, 100; 30 gives 30, 60, 90, 100. */
export function stepsOf(stepPercent: number): number[] {
  const steps: number[] = [];
  for (let n = 1; n * stepPercent < 100; n += 1) steps.push(n * stepPercent);
  return [...steps, 100];
}

function ringRule(
  ring: RingSpec,
  preset: Extract<PresetSpec, { strategy: 'scheduled' }>,
): RulePlan {
  const opens: Gate[] = [];
  if (ring.waitMs > 0) opens.push({ kind: 'wait', ms: ring.waitMs });
  if (ring.window !== null) {
    opens.push({ kind: 'window', rules: [ring.window], notTheFirst: true });
  }
  return {
    ...rule(ring, proof(preset.settleMs, preset.tolerance), opens),
    canaryCount: ring.canaryCount,
    canaryPasses: proof(0, STRICT),
    doneAtPercent: preset.donePercent,
  };
}

function customRule(wave: CustomWaveSpec): RulePlan {
  const opens: Gate[] = [];
  if (wave.approvals > 0) opens.push({ kind: 'approval', needed: wave.approvals });
  if (wave.notBefore !== null) opens.push({ kind: 'not_before', at: wave.notBefore });
  if (wave.waitMs > 0) opens.push({ kind: 'wait', ms: wave.waitMs });
  if (wave.windows.length > 0) {
    opens.push({ kind: 'window', rules: wave.windows, notTheFirst: false });
  }
  return {
    ...rule(wave, proof(wave.settleMs, wave.tolerance), opens),
    canaryCount: wave.canaryCount,
    canaryPasses: proof(wave.settleMs, STRICT),
  };
}
