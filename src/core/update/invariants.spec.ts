import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FRESH_WATCH,
  freshState,
  nextAction,
  step,
  UpdateState,
  type Facts,
  type Input,
  type Machine,
} from './index.js';

/** The machine with the executor that a real agent has, under random luck and random crashes. */
class Node {
  machine: Machine = {
    state: freshState({ service: 'edge', product: 'edge', variant: 'default' }),
    watch: FRESH_WATCH,
  };
  link: string | null = null;
  nowMs = 1_790_000_000_000;
  monotonicMs = 0;
  generation = 0;
  spooled: { id: string; type: string; command_id: string | null }[] = [];
  runs = new Map<string, number>();
  /** Whether each version is a good one. */
  readonly #good: (version: string) => boolean;

  constructor(good: (version: string) => boolean) {
    this.#good = good;
  }

  facts(): Facts {
    return {
      nowMs: this.nowMs,
      monotonicMs: this.monotonicMs,
      healthWindowMs: 1_000,
      bootAttemptsMax: 3,
      manualOnly: false,
    };
  }

  take(input: Input): void {
    const before = this.machine.state;
    this.machine = step(this.machine, input, this.facts());
    const after = this.machine.state;
    expect(UpdateState.safeParse(after).success).toBe(true);
    const floor = before.floors.stable ?? 0;
    expect(after.floors.stable ?? 0, 'a floor never falls').toBeGreaterThanOrEqual(floor);
    if ((after.floors.stable ?? 0) > floor) expect(after.outcome?.result).toBe('succeeded');
    for (const event of after.outbox.slice(before.outbox.length)) {
      if (event.type !== 'upgrade_started' || event.command_id === null) continue;
      this.runs.set(event.command_id, (this.runs.get(event.command_id) ?? 0) + 1);
    }
  }

  order(version: string, again: boolean): void {
    if (!again) this.generation += 1;
    this.take({
      type: 'upgrade',
      order: {
        command_id: `cmd_${this.generation}`,
        generation: this.generation,
        version,
        channel: 'stable',
        sources: [],
        apply_after_ms: null,
        expires_at_ms: this.nowMs + 600_000,
        needs_permit: true,
      },
    });
  }

  /** One step of the executor; `luck` decides what the world answers, `dies` where it stops. */
  work(luck: number, dies: boolean): void {
    const action = nextAction(this.machine, this.facts());
    if (action.do === 'fetch') {
      const sequence = Number(action.job.version.split('.')[1]);
      const artifact = { sha256: 'a'.repeat(64), size: 1, sequence, state_schema: null };
      this.take({ type: 'judged', artifact });
      if (dies) {
        this.crash();
        return;
      }
      if (luck < 0.1) {
        const code = 'upgrade_network_error';
        this.take({ type: 'failed', step: 'download', code, message: 'lost' });
      } else this.take({ type: 'downloaded' });
    } else if (action.do === 'extract') {
      this.take({ type: 'extracted' });
    } else if (action.do === 'ask_permit') {
      this.take({ type: 'permit_asked' });
      const { command_id } = action.job;
      const { asks: ask } = this.machine.watch;
      if (luck < 0.2) this.take({ type: 'permit_denied', command_id, ask, retry_ms: 100 });
      else if (luck < 0.9) this.take({ type: 'permit_granted', command_id, ask, lease_ms: 200 });
    } else if (action.do === 'swap') {
      expect(this.machine.watch.permitUntilMs, 'no fresh permit, no swap').toBeGreaterThanOrEqual(
        this.monotonicMs,
      );
      if (dies && luck < 0.5) {
        this.crash();
        return;
      }
      this.link = action.job.version;
      if (luck > 0.95) {
        this.take({ type: 'restore_failed', code: 'upgrade_swap_failed', message: 'stuck' });
        return;
      }
      if (dies) {
        this.crash();
        return;
      }
      this.take({ type: 'swapped' });
    } else if (action.do === 'watch') {
      if (luck < 0.1) this.take({ type: 'exited' });
      else this.take({ type: 'health', healthy: this.#good(action.job.version) });
      this.pass(200);
    } else if (action.do === 'roll_back') {
      this.link = action.job.from?.version ?? null;
      if (dies) {
        this.crash();
        return;
      }
      this.take({ type: 'rolled_back' });
    } else {
      this.pass(100);
    }
    if (dies) this.crash();
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.monotonicMs += ms;
    this.take({ type: 'tick' });
  }

  /** The spool drops doubles by id, as the real one does. */
  spool(forget: boolean): void {
    const { outbox } = this.machine.state;
    for (const { id, type, command_id } of outbox) {
      if (!this.spooled.some((event) => event.id === id))
        this.spooled.push({ id, type, command_id });
    }
    if (!forget) this.take({ type: 'spooled', ids: outbox.map((event) => event.id) });
  }

  crash(): void {
    // What is durable is the state; the watch, and monotonic time, are gone.
    this.machine = { state: this.machine.state, watch: FRESH_WATCH };
    this.monotonicMs = 0;
    this.take({ type: 'booted', current: this.link });
  }
}

const version = fc.integer({ min: 1, max: 9 }).map((minor) => `1.${minor}.0`);
const deed = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constant('order' as const), version }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('again' as const), version }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('work' as const),
      luck: fc.double({ min: 0, max: 1, noNaN: true }),
      dies: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(500) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('spool' as const), forget: fc.boolean() }) },
);

const TERMINAL: ReadonlySet<string> = new Set([
  'upgrade_completed',
  'upgrade_rolled_back',
  'upgrade_withdrawn',
  'upgrade_refused',
  'upgrade_download_failed',
]);

describe('whatever happens to a node', () => {
  it('it ends idle on one good version, each command run once and ended once', () => {
    fc.assert(
      fc.property(fc.array(deed, { maxLength: 80 }), fc.nat(511), (deeds, goodness) => {
        const node = new Node((name) => ((goodness >> (Number(name.split('.')[1]) - 1)) & 1) === 1);
        for (const one of deeds) {
          if (one.do === 'order') node.order(one.version, false);
          else if (one.do === 'again' && node.generation > 0) node.order(one.version, true);
          else if (one.do === 'work') node.work(one.luck, one.dies);
          else if (one.do === 'pass') node.pass(one.ms);
          else if (one.do === 'spool') node.spool(one.forget);
        }
        for (let i = 0; i < 200 && node.machine.state.job !== null; i += 1) node.work(0.5, false);
        node.spool(false);
        const { state } = node.machine;
        expect(state.job, 'it ends').toBeNull();
        expect(node.link, 'the link is what the state says').toBe(state.current?.version ?? null);
        expect(state.outbox).toEqual([]);
        for (const [command, runs] of node.runs) expect(runs, command).toBe(1);
        const ended = node.spooled.filter((event) => TERMINAL.has(event.type));
        const commands = ended.map((event) => event.command_id);
        expect(new Set(commands).size, 'one end a command').toBe(commands.length);
      }),
      { numRuns: 400 },
    );
  });
});
