import type { ReactNode } from 'react';
import { Badge, counted, Countdown, sentence, StateBadge, Time } from '../../ui/index.js';
import { CellPicture } from './cell-picture.js';
import type { Cells, CellStore } from './cells.js';
import { reasonInWords } from './reasons.js';
import { WaveActions } from './rollout-actions.js';
import type { Rollout, Wave } from './verbs.js';

const PART_WORDS: Readonly<Record<Wave['part'], string | null>> = {
  canary: 'canaries',
  main: null,
  overflow: 'what the limit per domain put off',
};
const VERDICTS: Readonly<Record<Wave['verdict'], string>> = {
  good: 'evidence is good',
  bad: 'evidence is bad',
  unknown: 'no verdict yet',
};

/** One wave: where it stands and why, what can be done, and its nodes. */
export const WavePart = ({
  rollout,
  wave,
  store,
  cells,
  only,
}: {
  readonly rollout: Rollout;
  readonly wave: Wave;
  readonly store: CellStore;
  readonly cells: Cells | null;
  readonly only: string | null;
}): ReactNode => {
  const title = `Wave ${wave.index + 1}`;
  const part = PART_WORDS[wave.part];
  return (
    <li className="wave" data-status={wave.status}>
      <div className="wave-head">
        <h3 className="row row-wrap">
          {title}
          <bdi className="cut wave-name">{wave.name}</bdi>
        </h3>
        <StateBadge state={wave.status} />
        {part === null ? null : <Badge>{part}</Badge>}
        <span className="grow soft wave-why">
          {counted(wave.size, 'node')} · {sentence(reasonInWords(wave.reason))}
          {wave.until === null ? null : (
            <>
              {' '}
              <Countdown until={wave.until} />
            </>
          )}
          {wave.status === 'pending' ? null : ` · ${VERDICTS[wave.verdict]}`}
          <When wave={wave} />
          {wave.approved_by.length === 0
            ? null
            : ` · ${counted(wave.approved_by.length, 'approval')}`}
        </span>
        <div className="row">
          <WaveActions rollout={rollout} wave={wave} />
        </div>
      </div>
      {cells === null ? (
        <span className="bone wave-bone" />
      ) : (
        <CellPicture
          store={store}
          cells={cells}
          wave={wave.index}
          name={`${title}, ${wave.name}`}
          only={only}
        />
      )}
    </li>
  );
};

const When = ({ wave }: { readonly wave: Wave }): ReactNode =>
  wave.ended_at !== null ? (
    <>
      {' '}
      · ended <Time at={wave.ended_at} />
    </>
  ) : wave.opened_at !== null ? (
    <>
      {' '}
      · opened <Time at={wave.opened_at} />
    </>
  ) : null;
