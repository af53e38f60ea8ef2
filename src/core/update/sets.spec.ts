import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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
} from './index.js';

const NAMES = ['one', 'three', 'two'] as const;
type Name = (typeof NAMES)[number];
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
class Node {
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

const name = fc.constantFrom(...NAMES);
const version = fc.integer({ min: 1, max: 9 }).map((minor) => `1.${minor}.0`);
// Evenly spread; of doubles most would be tiny.
const luck = fc.integer({ min: 0, max: 999 }).map((part) => part / 1_000);
const deed = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('order' as const),
      names: fc.subarray([...NAMES]),
      version,
    }),
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('work' as const), name, luck }) },
  {
    weight: 30,
    arbitrary: fc.record({ do: fc.constant('round' as const), lucks: fc.tuple(luck, luck, luck) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('open' as const), name }) },
);

function play(node: Node, one: typeof deed extends fc.Arbitrary<infer D> ? D : never): void {
  if (one.do === 'order') one.names.forEach((each) => node.order(each, one.version));
  else if (one.do === 'round') NAMES.forEach((each, i) => node.work(each, one.lucks[i] ?? 0.5));
  else if (one.do === 'work') node.work(one.name, one.luck);
  else if (one.do === 'crash') node.crash();
  else node.open(one.name);
}

function settle(node: Node): void {
  for (const each of NAMES) node.open(each);
  const isDone = (): boolean =>
    NAMES.every((each) => node.member(each).machine.state.job === null) && node.pact === null;
  for (let i = 0; i < 900 && !isDone(); i += 1) {
    for (const each of NAMES) node.work(each, 0.5);
  }
}

describe('whatever happens to a set', () => {
  it('all that moved together stay, or none does', () => {
    let [kept, back] = [0, 0];
    fc.assert(
      fc.property(
        fc.array(deed, { maxLength: 200, size: 'max' }),
        fc.nat(511),
        (deeds, goodness) => {
          const node = new Node(
            (of) => (((goodness | 0b110111011) >> (Number(of.split('.')[1]) - 1)) & 1) === 1,
          );
          for (const one of deeds) play(node, one);
          settle(node);
          for (const [service, { machine, link }] of node.members) {
            expect(machine.state.job, `${service} ends`).toBeNull();
            expect(link, 'the link is what the state says').toBe(
              machine.state.current?.version ?? null,
            );
          }
          expect(node.pact, 'nothing is left to agree on').toBeNull();
          for (const { pact } of node.moves) {
            const results = pact.members.map(
              ({ command_id }) => node.ends.get(command_id) === 'succeeded',
            );
            expect(new Set(results).size, JSON.stringify({ pact, ends: [...node.ends] })).toBe(1);
            if (pact.members.length < 2) continue;
            if (results[0] === true) kept += 1;
            else back += 1;
          }
        },
      ),
      { numRuns: 200 },
    );
    // It has seen both ends often enough to mean something.
    expect(kept).toBeGreaterThan(10);
    expect(back).toBeGreaterThan(10);
  });
});

describe('a set', () => {
  const upTo = (node: Node, phase: string, names: readonly Name[]): void => {
    for (let i = 0; i < 200; i += 1) {
      if (names.every((one) => node.member(one).machine.state.job?.phase === phase)) return;
      for (const one of names) node.work(one, 0.5);
    }
    throw new Error(`${names.join()} did not come to ${phase}`);
  };

  it('waits until all that have an order are staged, and does not ask before', () => {
    const node = new Node(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    upTo(node, 'staged', ['one']);
    for (let i = 0; i < 20; i += 1) node.work('one', 0.5);
    expect(node.member('one').machine.state.job?.phase).toBe('staged');
    expect(node.member('one').machine.watch.asks).toBe(0);
    upTo(node, 'probation', ['one', 'two']);
  });

  it('does not swap one where another cannot be installed, and says why', () => {
    const node = new Node(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    upTo(node, 'staged', ['one']);
    node.work('two', 0);
    node.work('one', 0.5);
    const { outcome, outbox } = node.member('one').machine.state;
    expect(outcome).toMatchObject({ result: 'failed', error_code: 'upgrade_set_failed' });
    expect(outbox.at(-1)?.details).toMatchObject({
      cause_service: 'two',
      cause_code: 'upgrade_network_error',
    });
  });

  it('goes back as a whole when one member falls, and says why', () => {
    const node = new Node((of) => of !== '1.2.0');
    node.order('one', '1.1.0');
    node.order('two', '1.2.0');
    upTo(node, 'probation', ['one', 'two']);
    settle(node);
    const { outcome, outbox } = node.member('one').machine.state;
    expect(outcome).toMatchObject({ result: 'rolled_back', error_code: 'upgrade_set_failed' });
    expect(outbox.at(-1)?.details).toMatchObject({
      cause_service: 'two',
      cause_code: 'upgrade_unhealthy',
    });
    expect(node.member('one').link).toBeNull();
  });

  it('goes on without a member whose order was withdrawn', () => {
    const node = new Node(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    upTo(node, 'staged', ['one']);
    const withdraws = 'cmd_two_1';
    node.take('two', { type: 'withdraw', command_id: 'cmd_w', generation: 2, withdraws });
    settle(node);
    expect(node.member('one').machine.state.outcome?.result).toBe('succeeded');
  });

  it('does not leave one member on a new version for want of a permit of another', () => {
    const node = new Node(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    upTo(node, 'staged', ['one', 'two']);
    // Both ask; one is granted, the other is denied for a long time.
    for (let i = 0; i < 60; i += 1) {
      node.work('one', 0.5);
      node.work('two', 0);
    }
    expect(node.member('one').machine.state.job?.phase).toBe('staged');
    expect(node.moves).toEqual([]);
  });

  it('goes back when a member does not come along in ten minutes', () => {
    const node = new Node(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    while (node.member('one').machine.state.job?.phase !== 'probation') {
      node.work('two', 0.5);
      node.work('one', 0.5);
    }
    // The agent dies between the two swaps, and one root cannot be opened any more.
    node.crash();
    const two = node.member('two');
    if (two.machine.state.job?.phase === 'probation') two.link = null;
    node.open('one');
    for (let i = 0; i < 20; i += 1) node.work('one', 0.5);
    expect(node.member('one').machine.state.job?.phase).toBe('probation');
    node.pass(600_001);
    for (let i = 0; i < 5; i += 1) node.work('one', 0.5);
    expect(node.member('one').machine.state.outcome?.error_code).toBe('upgrade_set_failed');
    expect(node.pact?.phase).toBe('back');
    settle(node);
    expect(two.link).toBeNull();
  });
});
