import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../core/kernel/index.js';
import { AcceptQueue } from './accept-queue.js';
import { AHEAD_MS, lineMax, PACE_START, WAIT_MS_MAX, type Urgency } from './storm-rule.js';

const STEP_MS = 10;
const END_MS = 600_000;

interface Storm {
  readonly nodes: number;
  /** How long an arrival takes when `limit` are under way: more at once take longer. */
  readonly workMs: number;
  /** Those with an index below come first as far as that is bounded. */
  readonly urgent: number;
  readonly seed: string;
}

interface Outcome {
  readonly inAtMs: readonly number[];
  readonly refusals: readonly number[];
  readonly isWithinLimits: boolean;
}

/** Everybody knocks within the first second, and comes back when it was told. */
function play({ nodes, workMs, urgent, seed }: Storm): Outcome {
  const random = seededRandom(seed);
  const queue = new AcceptQueue<number>();
  const knocksAt = Array.from({ length: nodes }, () => random.below(1_000));
  const inAtMs = new Array<number>(nodes).fill(Infinity);
  const refusals = new Array<number>(nodes).fill(0);
  const leavesAt: { at: number; since: number }[] = [];
  let [nowMs, isWithinLimits] = [0, true];
  const enter = (node: number): void => {
    inAtMs[node] = nowMs;
    const { underWay, limit } = queue.state();
    isWithinLimits &&= underWay <= limit;
    leavesAt.push({ at: nowMs + workMs, since: nowMs });
  };
  const out = (node: number, retryAfterMs: number): void => {
    refusals[node] = (refusals[node] ?? 0) + 1;
    // In whole seconds, and anywhere in the second, as an agent does it.
    knocksAt[node] = nowMs + Math.ceil(retryAfterMs / 1_000) * 1_000 + random.below(1_000);
  };
  for (; nowMs < END_MS && inAtMs.includes(Infinity); nowMs += STEP_MS) {
    for (const late of queue.expire(nowMs)) out(late.guest, late.retryAfterMs);
    for (const done of leavesAt.filter(({ at }) => at <= nowMs)) {
      leavesAt.splice(leavesAt.indexOf(done), 1);
      queue.left({ workedMs: workMs, heldMs: nowMs - done.since }, nowMs);
    }
    for (const node of queue.admit()) enter(node);
    for (let node = 0; node < nodes; node += 1) {
      if ((knocksAt[node] ?? Infinity) > nowMs) continue;
      knocksAt[node] = Infinity;
      const urgency: Urgency = node < urgent ? 'commanded' : null;
      const verdict = queue.knock(`nod_${node}`, node, urgency, nowMs);
      if (verdict.is === 'in') enter(node);
      else if (verdict.is === 'out') out(node, verdict.retryAfterMs);
      else if (verdict.out !== null) out(verdict.out.guest, verdict.out.retryAfterMs);
    }
    isWithinLimits &&= queue.state().waiting <= 2_048;
  }
  return { inAtMs, refusals, isWithinLimits };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

describe('the accept queue', () => {
  it('lets everybody in at once while there is room, and remembers nobody', () => {
    const queue = new AcceptQueue<number>();
    for (let i = 0; i < PACE_START.limit; i += 1) {
      expect(queue.knock(`nod_${i}`, i, null, i).is).toBe('in');
    }
    expect(queue.hasRoom).toBe(false);
    expect(queue.knock('nod_x', 1, null, 0).is).toBe('waits');
  });

  it('lets everybody in after a while, however many come and however slow that is', () => {
    fc.assert(
      fc.property(
        fc.record({
          nodes: fc.integer({ min: 1, max: 600 }),
          workMs: fc.integer({ min: 10, max: 2_000 }),
          urgent: fc.integer({ min: 0, max: 100 }),
          seed: fc.string(),
        }),
        (storm) => {
          const { inAtMs, isWithinLimits } = play(storm);
          expect(Math.max(...inAtMs)).toBeLessThan(END_MS);
          expect(isWithinLimits).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  it('lets those with commands in first', () => {
    const { inAtMs } = play({ nodes: 6_000, workMs: 400, urgent: 100, seed: 'first' });
    expect(mean(inAtMs.slice(0, 100))).toBeLessThan(mean(inAtMs.slice(100)) / 2);
  });

  it('makes nobody come in vain more than a few times', () => {
    const { refusals } = play({ nodes: 1_500, workMs: 400, urgent: 0, seed: 'few' });
    expect(Math.max(...refusals)).toBeLessThanOrEqual(6);
    expect(mean(refusals)).toBeLessThan(2);
  });

  /** A queue without room whose line is full of nodes that came at `atMs`. */
  const full = (atMs: number): AcceptQueue<string> => {
    const queue = new AcceptQueue<string>();
    for (let i = 0; queue.hasRoom; i += 1) queue.knock(`nod_in${i}`, 'in', null, atMs);
    for (let i = 0; i < lineMax(PACE_START); i += 1) {
      expect(queue.knock(`nod_line${i}`, `line ${i}`, null, atMs + i).is).toBe('waits');
    }
    return queue;
  };

  it('gives the place of the newest to one that is urgent, or has waited for longer', () => {
    const queue = full(1_000);
    const refused = queue.knock('nod_old', 'old', null, 5_000);
    expect(refused.is).toBe('out');
    const urgent = queue.knock('nod_urgent', 'urgent', 'probation', 5_000);
    expect(urgent.is === 'waits' ? urgent.out?.guest : null).toBe(
      `line ${lineMax(PACE_START) - 1}`,
    );
  });

  it('does not let an urgent one overtake who has waited for longer than that is worth', () => {
    const queue = full(0);
    const verdict = queue.knock('nod_urgent', 'urgent', 'commanded', AHEAD_MS.commanded + 10_000);
    expect(verdict.is).toBe('out');
  });

  it('tells the same slot to one that comes too early, and takes none from others for it', () => {
    const queue = full(0);
    for (let i = 0; i < 5_000; i += 1) queue.knock(`nod_more${i}`, 'more', null, 100);
    const first = queue.knock('nod_me', 'me', null, 100);
    const again = queue.knock('nod_me', 'me', null, 600);
    const next = queue.knock('nod_other', 'other', null, 600);
    const afterMs = (verdict: typeof first): number =>
      verdict.is === 'out' ? verdict.retryAfterMs : NaN;
    expect(afterMs(again)).toBeCloseTo(afterMs(first) - 500);
    expect(afterMs(next)).toBeLessThan(afterMs(first) - 490);
  });

  it('has one place for a node, whatever it is called twice', () => {
    const queue = full(0);
    expect(queue.knock('nod_line3', 'twice', null, 10).is).toBe('out');
  });

  it('sends away who has waited too long, and forgets who has hung up', () => {
    const queue = full(0);
    queue.gone('line 0');
    const waiting = queue.state().waiting;
    expect(queue.expire(WAIT_MS_MAX - 1)).toEqual([]);
    const late = queue.expire(2 * WAIT_MS_MAX + waiting);
    expect(late).toHaveLength(waiting);
    expect(new Set(late.map(({ guest }) => guest)).has('line 0')).toBe(false);
    expect(queue.state().waiting).toBe(0);
  });
});
