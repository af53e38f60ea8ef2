import { invariant } from '../kernel/index.js';
import { evolve } from './evolve.js';
import type { Decision, Effect, RolloutEvent, RolloutState, WavePlan, WaveState } from './types.js';

/** Collects events and applies each at once, so that later rules see what earlier ones did. */
export class Draft {
  readonly events: RolloutEvent[] = [];
  readonly effects: Effect[] = [];
  constructor(public rollout: RolloutState) {}

  add(event: RolloutEvent): void {
    this.events.push(event);
    this.rollout = evolve(this.rollout, event);
  }

  wave(index: number): WaveState {
    const wave = this.rollout.waves[index];
    invariant(wave !== undefined, `rollout ${this.rollout.id} has no wave ${index}`);
    return wave;
  }

  plan(index: number): WavePlan {
    const plan = this.rollout.plan.waves[index];
    invariant(plan !== undefined, `rollout ${this.rollout.id} planned no wave ${index}`);
    return plan;
  }

  done(): Decision {
    return { rollout: this.rollout, events: this.events, effects: this.effects };
  }
}

/** Of a whole rollout, by counters. */
export const sumOver = (rollout: RolloutState, of: (wave: WaveState) => number): number =>
  rollout.waves.reduce((sum, wave) => sum + of(wave), 0);
