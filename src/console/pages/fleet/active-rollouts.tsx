import { Rocket } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi } from '../../app/api.js';
import { useCan, useGroups } from '../../app/session.js';
import {
  ButtonLink,
  Card,
  Countdown,
  count,
  Empty,
  Loaded,
  PartsBar,
  sentence,
  StateBadge,
  Time,
  toneOf,
  words,
} from '../../ui/index.js';

type Rollout = Answer<'rollouts.list'>['items'][number];
const ACTIVE = ['in_progress', 'paused', 'pending'] as const;
const SHOWN_MAX = 8;

/** Rollouts that are not over, each as a small picture that moves with it. */
export const ActiveRollouts = (): ReactNode => {
  const can = useCan();
  const [moving, paused, pending] = [
    useApi('rollouts.list', { query: { status: ACTIVE[0], limit: SHOWN_MAX } }),
    useApi('rollouts.list', { query: { status: ACTIVE[1], limit: SHOWN_MAX } }),
    useApi('rollouts.list', { query: { status: ACTIVE[2], limit: SHOWN_MAX } }),
  ];
  const rollouts = [moving, paused, pending].flatMap(({ data }) => data?.items ?? []);
  return (
    <Card title="Active rollouts" actions={<Link to="/rollouts">All rollouts</Link>}>
      <Loaded query={moving}>
        {() =>
          rollouts.length === 0 ? (
            <Empty
              icon={<Rocket aria-hidden />}
              title="Nothing is being rolled out"
              action={
                can('group.upgrade') ? (
                  <ButtonLink to="/rollouts/new">New rollout</ButtonLink>
                ) : undefined
              }
            >
              A rollout brings a release to a group in waves, and stops by itself when nodes turn
              back.
            </Empty>
          ) : (
            <div className="rollout-cards">
              {rollouts.map((rollout) => (
                <RolloutCard key={rollout.id} rollout={rollout} />
              ))}
            </div>
          )
        }
      </Loaded>
    </Card>
  );
};

const RolloutCard = ({ rollout }: { readonly rollout: Rollout }): ReactNode => {
  const { nameOf } = useGroups();
  const { parts, done, size } = progressOf(rollout);
  const wave = rollout.waves.find(({ status }) => status !== 'passed' && status !== 'skipped');
  const reason = wave !== undefined && rollout.status !== 'paused' ? wave.reason : rollout.reason;
  return (
    <Link to={`/rollouts/${rollout.id}`} className="rollout-card">
      <span className="row row-between">
        <strong className="cut">
          {rollout.product} {rollout.version}
        </strong>
        <StateBadge state={rollout.status} />
      </span>
      <span className="soft small cut">
        to <bdi>{rollout.scope.kind === 'group' ? nameOf(rollout.scope.id) : `one node`}</bdi>,{' '}
        {rollout.strategy}, <Time at={rollout.created_at} />
      </span>
      <PartsBar label={`Nodes of ${rollout.product} ${rollout.version}`} parts={parts} />
      <span className="row row-between small soft">
        <span className="figures nowrap">
          {count(done)} of {count(size)} nodes
        </span>
        <span className="cut">
          {wave === undefined ? null : `wave ${wave.index + 1} of ${rollout.waves.length}: `}
          {wave === undefined ? sentence(words(reason)) : words(reason)}{' '}
          <Countdown until={wave?.until ?? null} />
        </span>
      </span>
    </Link>
  );
};

type Part = { name: string; tone: string; n: number };
/** In the order in which they stand in the bar. */
const TONES = ['good', 'trial', 'moving', 'warn', 'bad', 'idle'];

function progressOf({ waves }: Rollout): {
  readonly parts: readonly Part[];
  readonly done: number;
  readonly size: number;
} {
  const sums = new Map<string, number>();
  for (const { counts } of waves) {
    for (const [state, n] of Object.entries(counts)) sums.set(state, (sums.get(state) ?? 0) + n);
  }
  const parts = [...sums]
    .map(([state, n]) => ({ name: words(state), tone: toneOf(state), n }))
    .sort((a, b) => TONES.indexOf(a.tone) - TONES.indexOf(b.tone));
  const size = waves.reduce((sum, wave) => sum + wave.size, 0);
  return { parts, done: sums.get('succeeded') ?? 0, size };
}
