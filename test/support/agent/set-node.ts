import { expect } from 'vitest';
import {
  FRESH_WATCH,
  freshState,
  nextAction,
  Pact,
  step,
  stepSet,
  wordTo,
  type Facts,
  type Input,
  type Job,
  type Machine,
  type SetMember,
} from '../../../src/core/update/index.js';

export const NAMES = ['one', 'three', 'two'] as const;
export type Name = (typeof NAMES)[number];
/** The windows differ, so that one member is proven long before another. */
const WINDOW_MS: Readonly<Record<Name, number>> = { one: 300, two: 1_000, three: 600 };

interface Member {
  machine: Machine;
  link: string | null;
  generation: number;
  /** Whether it can be looked after at this moment. */
  isOpen: boolean;
}

/** Three services of a set, with the executor and the coordinator that a real agent has. */
export class SetNode {
  readonly members = new Map<Name, Member>();
  pact: Pact | null = null;
  nowMs = 1_790_000_000_000;
  monotonicMs = 1;
  movingSinceMs = 0;
  /** What was agreed on when the set began to move, with what became of it. */
  readonly moves: { readonly pact: Pact; readonly before: Map<string, string | null> }[] = [];
  /** How the command of each service ended. */
  readonly ends = new Map<string, string>();
  readonly #good: (version: string) => boolean;

  constructor(good: (version: string) => boolean) {
    this.#good = good;
    for (const service of NAMES) {
      const state = freshState({ service, product: service, variant: 'default' });
      const machine = { state, watch: FRESH_WATCH };
      this.members.set(service, { machine, link: null, generation: 0, isOpen: true });
    }
  }

  member(name: Name): Member {
    return this.members.get(name) as Member;
  }

  ownFacts(name: Name): Facts {
    const { nowMs, monotonicMs } = this;
    const healthWindowMs = WINDOW_MS[name];
    return { nowMs, monotonicMs, healthWindowMs, bootAttemptsMax: 3, manualOnly: false };
  }

  views(): SetMember[] {
    return NAMES.map((service) => {
      const { isOpen, machine } = this.member(service);
      return { service, now: isOpen ? { machine, facts: this.ownFacts(service) } : null };
    });
  }

  /** As the coordinator does: what was agreed on is durable before anybody acts on it. */
  facts(name: Name): Facts {
    const next = stepSet(this.pact, this.views(), this.monotonicMs - this.movingSinceMs);
    if (next !== this.pact) this.agreed(next);
    return { ...this.ownFacts(name), set: wordTo(name, this.pact, this.views()) };
  }

  agreed(next: Pact | null): void {
    if (next !== null) expect(Pact.safeParse(next).success).toBe(true);
    if (next?.phase === 'moving' && this.pact?.phase !== 'moving') {
      this.movingSinceMs = this.monotonicMs;
      const before = new Map(NAMES.map((name) => [name as string, this.member(name).link]));
      this.moves.push({ pact: next, before });
    }
    this.pact = next;
  }

  take(name: Name, input: Input): void {
    const member = this.member(name);
    const facts = this.facts(name);
    const before = member.machine.state.job;
    member.machine = step(member.machine, input, facts);
    const { job, outcome } = member.machine.state;
    if (job?.phase === 'swapping' && before?.phase === 'staged') {
      expect(this.pact?.phase, 'nobody moves alone').toBe('moving');
    }
    if (before !== null && outcome?.command_id === before.command_id) {
      this.ends.set(before.command_id, outcome.result);
    }
  }

  order(name: Name, version: string): void {
    if (!this.member(name).isOpen) return;
    const generation = (this.member(name).generation += 1);
    const command_id = `cmd_${name}_${generation}`;
    const order = { command_id, generation, version, channel: 'stable' as const, sources: [] };
    const times = { apply_after_ms: null, expires_at_ms: this.nowMs + 3_600_000 };
    this.take(name, { type: 'upgrade', order: { ...order, ...times, needs_permit: true } });
  }

  /** One step of the executor of one member. */
  work(name: Name, luck: number): void {
    const member = this.member(name);
    if (!member.isOpen) return;
    this.take(name, { type: 'tick' });
    const action = nextAction(member.machine, this.facts(name));
    const take = (input: Input): void => {
      this.take(name, input);
    };
    switch (action.do) {
      case 'fetch':
        this.fetch(name, luck);
        break;
      case 'extract':
        take({ type: 'extracted' });
        break;
      case 'ask_permit':
        this.ask(name, action.job, luck);
        break;
      case 'swap':
        this.swap(name, action.job, luck);
        break;
      case 'watch':
        if (luck < 0.03) take({ type: 'exited' });
        else take({ type: 'health', healthy: this.#good(action.job.version) });
        this.pass(60);
        break;
      case 'roll_back':
        member.link = action.job.from?.version ?? null;
        if (luck > 0.93) this.crash();
        else take({ type: 'rolled_back' });
        break;
      case 'wait':
        this.pass(50);
    }
  }

  swap(name: Name, { version }: Job, luck: number): void {
    if (luck < 0.05) {
      const code = 'upgrade_swap_failed';
      this.take(name, { type: 'failed', step: 'swap', code, message: 'no' });
      return;
    }
    this.member(name).link = version;
    if (luck > 0.93) this.crash();
    else this.take(name, { type: 'swapped' });
  }

  fetch(name: Name, luck: number): void {
    const artifact = { sha256: 'a'.repeat(64), size: 1, sequence: 1, state_schema: null };
    this.take(name, { type: 'judged', artifact });
    if (luck > 0.08) {
      this.take(name, { type: 'downloaded' });
      return;
    }
    const code = 'upgrade_network_error';
    this.take(name, { type: 'failed', step: 'download', code, message: 'lost' });
  }

  ask(name: Name, { command_id }: Job, luck: number): void {
    this.take(name, { type: 'permit_asked' });
    const { asks: ask } = this.member(name).machine.watch;
    if (luck < 0.2) this.take(name, { type: 'permit_denied', command_id, ask, retry_ms: 100 });
    else if (luck < 0.9) {
      this.take(name, { type: 'permit_granted', command_id, ask, lease_ms: 400 });
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.monotonicMs += ms;
  }

  /** The agent dies and starts again; members come back one after another. */
  crash(): void {
    this.monotonicMs = 1;
    this.movingSinceMs = 0;
    for (const member of this.members.values()) {
      member.isOpen = false;
      member.machine = { state: member.machine.state, watch: FRESH_WATCH };
    }
  }

  open(name: Name): void {
    const member = this.member(name);
    if (member.isOpen) return;
    this.take(name, { type: 'booted', current: member.link });
    member.isOpen = true;
  }
}

/** Goes on without mishap until nothing is left to do. */
export function settle(node: SetNode): void {
  for (const each of NAMES) node.open(each);
  const isDone = (): boolean =>
    NAMES.every((each) => node.member(each).machine.state.job === null) && node.pact === null;
  for (let i = 0; i < 900 && !isDone(); i += 1) {
    for (const each of NAMES) node.work(each, 0.5);
  }
}
