import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FRESH_PROGRESS,
  lookedAt,
  standingOf,
  type PodView,
  type ProgressVerdict,
  type Standing,
  type WorkloadView,
} from './index.js';
import { aPod, aWorkload, IMAGE, OLD_IMAGE } from '../../../test/support/kube/views.js';

const WANTED = { container: 'main', image: IMAGE, restartsMax: 3 };
const stand = (workload: Partial<WorkloadView>, pods: readonly PodView[] = []): Standing =>
  standingOf(aWorkload(workload), pods, WANTED);

describe('how a rolling update stands', () => {
  it('is complete when every pod is of the newest template and available', () => {
    expect(stand({})).toEqual({ state: 'complete' });
  });

  it.each([
    [{ generation: 5 }, 'its controller has not seen the change yet'],
    [{ updated: 1 }, '1 of 2 pods are updated'],
    [{ present: 3 }, '1 pods of the image before are left'],
    [{ available: 1 }, '1 of 2 pods are available'],
  ])('is on its way: %j', (seen, message) => {
    expect(stand(seen)).toMatchObject({ state: 'moving', message });
  });

  it('tells by its mark whether it came further', () => {
    const marks = [{ updated: 0 }, { updated: 1 }, { available: 1 }, { present: 3 }].map((seen) => {
      const standing = stand(seen);
      return standing.state === 'moving' ? standing.mark : '';
    });
    expect(new Set(marks).size).toBe(marks.length);
  });

  it('has failed when its controller gave up, but not by what it said of an older template', () => {
    const gaveUp = { progressReason: 'ProgressDeadlineExceeded', available: 0 };
    expect(stand(gaveUp)).toMatchObject({ state: 'failed', code: 'upgrade_progress_deadline' });
    expect(stand({ ...gaveUp, generation: 5 })).toMatchObject({ state: 'moving' });
  });

  it('has failed when another hand put another image there, or took the container away', () => {
    const other = { containers: [{ name: 'main', image: OLD_IMAGE }] };
    expect(stand(other)).toMatchObject({ state: 'failed', code: 'workload_changed' });
    expect(stand({ containers: [] })).toMatchObject({ state: 'failed', code: 'workload_changed' });
  });

  it('is judged by the digest, also where a chart writes the tag beside it', () => {
    const image = IMAGE.replace('@', ':1.4.0@');
    const tagged = { containers: [{ name: 'main', image }] };
    expect(stand(tagged)).toEqual({ state: 'complete' });
    expect(stand({ ...tagged, available: 0 }, [aPod({ image, restarts: 3 })])).toMatchObject({
      state: 'failed',
      code: 'upgrade_crash_loop',
    });
  });

  it.each([
    ['ImagePullBackOff', 0, 'trouble', 'upgrade_image_pull_failed'],
    ['ErrImagePull', 0, 'trouble', 'upgrade_image_pull_failed'],
    ['InvalidImageName', 0, 'failed', 'upgrade_image_pull_failed'],
    ['ErrImageNeverPull', 0, 'failed', 'upgrade_image_pull_failed'],
    ['CrashLoopBackOff', 1, 'trouble', 'upgrade_crash_loop'],
    ['CrashLoopBackOff', 3, 'failed', 'upgrade_crash_loop'],
    [null, 3, 'failed', 'upgrade_crash_loop'],
  ])(
    'a pod of the new image that says %s after %i restarts is %s',
    (waiting, restarts, state, code) => {
      const pod = aPod({ waiting, restarts, message: 'told' });
      expect(stand({ available: 0 }, [pod])).toMatchObject({ state, code });
    },
  );

  it.each([
    ['of the image before', aPod({ image: OLD_IMAGE, restarts: 9, waiting: 'CrashLoopBackOff' })],
    ['that is being deleted', { ...aPod({ restarts: 9 }), isDeleting: true }],
    ['whose other container crashes', aPod({ name: 'sidecar', restarts: 9 })],
    ['that is being created', aPod({ waiting: 'ContainerCreating' })],
    ['that ended less often', aPod({ restarts: 2 })],
  ])('is not judged by a pod %s', (_, pod) => {
    expect(stand({}, [pod])).toEqual({ state: 'complete' });
  });

  it('goes by what is certain before what may pass, whichever pod is first', () => {
    const pods = [aPod({ waiting: 'ErrImagePull' }), aPod({ restarts: 3 })];
    for (const order of [pods, [...pods].reverse()]) {
      expect(stand({}, order)).toMatchObject({ state: 'failed', code: 'upgrade_crash_loop' });
    }
  });

  it('repeats no more than a line of what a pod says', () => {
    const standing = stand({}, [aPod({ waiting: 'ErrImagePull', message: 'x'.repeat(5_000) })]);
    expect(standing).toMatchObject({ message: expect.stringMatching(/^.{1,400}$/) as string });
  });
});

const LIMITS = { deadlineMs: 600, troubleMs: 300, lookMs: 100 };
const moving = (mark: string): Standing => ({ state: 'moving', mark, message: 'on its way' });
const TROUBLE: Standing = { state: 'trouble', code: 'upgrade_image_pull_failed', message: 'no' };
const COMPLETE: Standing = { state: 'complete' };

/** Looks one after another, each `gapMs` after the one before. */
function looks(standings: readonly Standing[], gapMs = 100): readonly ProgressVerdict[] {
  let watch = FRESH_PROGRESS;
  return standings.map((standing, index) => {
    const seen = lookedAt(watch, standing, 1_000 + index * gapMs, LIMITS);
    watch = seen.watch;
    return seen.verdict;
  });
}
const lastOf = (standings: readonly Standing[], gapMs?: number) => looks(standings, gapMs).at(-1);
const times = (count: number, standing: Standing) => Array.from({ length: count }, () => standing);

describe('what is made of it over time', () => {
  it('waits while it moves, however long that takes', () => {
    const steps = Array.from({ length: 50 }, (_, index) => moving(String(index)));
    expect(looks(steps).every(({ says }) => says === 'wait')).toBe(true);
  });

  it('condemns what has not moved for its deadline', () => {
    expect(lastOf(times(6, moving('1')))).toEqual({ says: 'wait' });
    expect(lastOf(times(8, moving('1')))).toMatchObject({
      says: 'condemned',
      code: 'upgrade_progress_deadline',
    });
  });

  it('counts no time in which nobody looked', () => {
    expect(lastOf([moving('1'), moving('1'), moving('1')], 3_600_000)).toEqual({ says: 'wait' });
    expect(lastOf(times(3, TROUBLE), 3_600_000)).toEqual({ says: 'wait' });
  });

  it('condemns a trouble that lasts, and forgets one that passed', () => {
    expect(lastOf(times(3, TROUBLE))).toEqual({ says: 'wait' });
    expect(lastOf(times(4, TROUBLE))).toMatchObject({
      says: 'condemned',
      code: 'upgrade_image_pull_failed',
    });
    const stutter = [...times(3, TROUBLE), moving('2'), ...times(2, TROUBLE)];
    expect(lastOf(stutter)).toEqual({ says: 'wait' });
  });

  it('condemns at once what no time mends', () => {
    const failed: Standing = { state: 'failed', code: 'workload_gone', message: 'gone' };
    expect(lastOf([failed])).toEqual({ says: 'condemned', code: 'workload_gone', message: 'gone' });
  });

  it('is health once it was complete, good or bad', () => {
    expect(looks([moving('1'), COMPLETE, moving('2'), COMPLETE])).toEqual([
      { says: 'wait' },
      { says: 'healthy', value: true },
      { says: 'healthy', value: false },
      { says: 'healthy', value: true },
    ]);
  });

  it('never condemns what was well at each look, whatever the clock does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 10_000_000 }), { maxLength: 30 }), (gaps) => {
        let watch = FRESH_PROGRESS;
        let nowMs = 0;
        for (const gap of gaps) {
          nowMs += gap;
          const seen = lookedAt(watch, COMPLETE, nowMs, LIMITS);
          expect(seen.verdict).toEqual({ says: 'healthy', value: true });
          watch = seen.watch;
        }
      }),
    );
  });
});
