import type { ReactNode } from 'react';
import { count, counted, PartsBar, toneOf, words, type Tone } from '../../ui/index.js';
import { countIn, type Rollout } from './verbs.js';

const PARTS = [
  'succeeded',
  'probation',
  'swapping',
  'staged',
  'downloading',
  'accepted',
  'offered',
  'silent',
  'rolled_back',
  'failed',
  'pending',
  'skipped',
  'cancelled',
] as const;

/** How far a rollout is: one bar over the states of its nodes, and the same in words. */
export const Progress = ({
  rollout,
  brief = false,
}: {
  readonly rollout: Pick<Rollout, 'waves'>;
  readonly brief?: boolean;
}): ReactNode => {
  const { waves } = rollout;
  const total = waves.reduce((sum, { size }) => sum + size, 0);
  const parts = PARTS.map((state) => ({
    name: words(state),
    tone: toneOf(state) satisfies Tone,
    n: countIn(waves, state),
  })).filter(({ n }) => n > 0);
  const done = countIn(waves, 'succeeded');
  const bad = countIn(waves, 'failed', 'rolled_back', 'silent');
  return (
    <div className={brief ? 'progress progress-brief' : 'progress'}>
      {brief ? null : (
        <div className="figure">
          {count(done)} <span className="soft progress-of">of {counted(total, 'node')}</span>
        </div>
      )}
      <PartsBar label="Nodes" parts={parts} />
      <span className="soft small figures">
        {brief
          ? `${count(done)} of ${count(total)}${bad === 0 ? '' : `, ${count(bad)} in trouble`}`
          : parts.map(({ name, n }) => `${count(n)} ${name}`).join(' · ')}
      </span>
    </div>
  );
};
