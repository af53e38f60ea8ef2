import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NAMES, SetNode, settle, type Name } from '../../../test/support/agent/set-node.js';
import type { Input } from './index.js';

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

function play(node: SetNode, one: typeof deed extends fc.Arbitrary<infer D> ? D : never): void {
  if (one.do === 'order') one.names.forEach((each) => node.order(each, one.version));
  else if (one.do === 'round') NAMES.forEach((each, i) => node.work(each, one.lucks[i] ?? 0.5));
  else if (one.do === 'work') node.work(one.name, one.luck);
  else if (one.do === 'crash') node.crash();
  else node.open(one.name);
}

describe('whatever happens to a set', () => {
  it('all that moved together stay, or none does', () => {
    let [kept, back] = [0, 0];
    fc.assert(
      fc.property(
        fc.array(deed, { maxLength: 200, size: 'max' }),
        fc.nat(511),
        (deeds, goodness) => {
          const node = new SetNode(
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
  const upTo = (node: SetNode, phase: string, names: readonly Name[]): void => {
    for (let i = 0; i < 200; i += 1) {
      if (names.every((one) => node.member(one).machine.state.job?.phase === phase)) return;
      for (const one of names) node.work(one, 0.5);
    }
    throw new Error(`${names.join()} did not come to ${phase}`);
  };

  it('waits until all that have an order are staged, and does not ask before', () => {
    const node = new SetNode(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    upTo(node, 'staged', ['one']);
    for (let i = 0; i < 20; i += 1) node.work('one', 0.5);
    expect(node.member('one').machine.state.job?.phase).toBe('staged');
    expect(node.member('one').machine.watch.asks).toBe(0);
    upTo(node, 'probation', ['one', 'two']);
  });

  it('does not swap one where another cannot be installed, and says why', () => {
    const node = new SetNode(() => true);
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
    const node = new SetNode((of) => of !== '1.2.0');
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
    const node = new SetNode(() => true);
    node.order('one', '1.1.0');
    node.order('two', '1.1.0');
    upTo(node, 'staged', ['one']);
    const withdraws = 'cmd_two_1';
    node.take('two', { type: 'withdraw', command_id: 'cmd_w', generation: 2, withdraws });
    settle(node);
    expect(node.member('one').machine.state.outcome?.result).toBe('succeeded');
  });

  it('does not leave one member on a new version for want of a permit of another', () => {
    const node = new SetNode(() => true);
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
    const node = new SetNode(() => true);
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

  describe('that has decided to stay', () => {
    /** The first that hears of it stays; the other has not been asked since. */
    const halfKept = (): SetNode => {
      const node = new SetNode(() => true);
      node.order('one', '1.1.0');
      node.order('two', '1.1.0');
      upTo(node, 'probation', ['one', 'two']);
      const isKept = (): boolean => node.pact?.phase === 'kept';
      for (let i = 0; i < 200 && !isKept(); i += 1) {
        for (const one of ['one', 'two'] as const) if (!isKept()) node.work(one, 0.5);
      }
      expect(isKept()).toBe(true);
      const left = (['one', 'two'] as const).filter(
        (one) => node.member(one).machine.state.job !== null,
      );
      expect(left).toEqual(['one']);
      expect(node.ends).toEqual(new Map([['cmd_two_1', 'succeeded']]));
      return node;
    };
    const last = (node: SetNode) => node.member('one').machine.state;

    it.each<[string, Input]>([
      ['ends', { type: 'exited' }],
      ['is sick', { type: 'health', healthy: false }],
      ['fails its hook', { type: 'post_swap_ended', problem: { message: 'no', details: {} } }],
    ])('keeps the last member, which %s before it is asked again', (_what, input) => {
      const node = halfKept();
      for (let times = 0; times < 5; times += 1) node.take('one', input);
      expect(last(node)).toMatchObject({ job: null, outcome: { result: 'succeeded' } });
      settle(node);
      expect([node.pact, node.member('one').link]).toEqual([null, '1.1.0']);
    });

    it('keeps the last member over a crash, without another window', () => {
      const node = halfKept();
      node.crash();
      node.open('two');
      node.open('one');
      node.work('one', 0.01);
      expect(last(node)).toMatchObject({ job: null, outcome: { result: 'succeeded' } });
      settle(node);
      expect(node.pact).toBeNull();
    });
  });
});
