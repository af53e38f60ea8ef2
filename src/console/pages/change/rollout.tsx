import { Rocket } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Link, useParams } from 'react-router';
import { useApi } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useGroups } from '../../app/session.js';
import {
  Card,
  Countdown,
  Empty,
  Facts,
  Loaded,
  Note,
  Page,
  Problem,
  sentence,
  StateBadge,
  Tabs,
  Time,
  counted,
  words,
} from '../../ui/index.js';
import '../../style/change.css';
import { CellLegend } from './cell-picture.js';
import { useCells } from './cells.js';
import { Progress } from './progress.js';
import { standing, STRATEGIES } from './reasons.js';
import { RolloutActions } from './rollout-actions.js';
import { Journal } from './rollout-journal.js';
import { RingReport } from './rollout-report.js';
import { LeftOut } from './left-out.js';
import { RolloutTargets } from './rollout-targets.js';
import { WavePart } from './rollout-wave.js';
import { isOver, type Rollout } from './verbs.js';

/** What moves is asked for so often, besides the events that make it stale. */
const EVERY_MS = 2_000;

export default function RolloutPage(): ReactNode {
  const { id = '' } = useParams();
  const [isMoving, setMoving] = useState(true);
  const query = useApi('rollouts.show', { params: { id } }, isMoving ? { everyMs: EVERY_MS } : {});
  const shows = query.data !== undefined && !isOver(query.data);
  if (query.data !== undefined && shows !== isMoving) setMoving(shows);
  const rollout = query.data?.id === id ? query.data : undefined;
  if (rollout === undefined)
    return (
      <Page title="Rollout" crumbs={CRUMBS}>
        <Loaded query={{ ...query, data: rollout }} lines={10}>
          {() => null}
        </Loaded>
      </Page>
    );
  return <Whole key={id} rollout={rollout} error={query.error} />;
}

const CRUMBS = [{ to: '/rollouts', label: 'Rollouts' }];

const Whole = ({
  rollout,
  error,
}: {
  readonly rollout: Rollout;
  readonly error: Error | null;
}): ReactNode => {
  const { values, set } = useFilters(['state']);
  const only = values.state ?? null;
  const { store, cells, error: lost } = useCells(rollout.id, !isOver(rollout));
  const onOnly = (state: string | null): void => set({ state });
  return (
    <Page
      title={`${rollout.product} ${rollout.version}`}
      beside={<StateBadge state={rollout.status} />}
      crumbs={CRUMBS}
    >
      <div className="stack">
        <div className="steer">
          <p className="grow steer-sentence" aria-live="polite">
            {standing(rollout.status, rollout.reason)} <Until rollout={rollout} />
          </p>
          <div className="row">
            <RolloutActions rollout={rollout} />
          </div>
        </div>
        {error === null ? null : <Problem error={error} />}
        <Glass rollout={rollout} />
        <About rollout={rollout} />
        <Card
          title="Waves"
          actions={cells === null ? null : <CellLegend cells={cells} only={only} onOnly={onOnly} />}
          flush
        >
          {lost === null ? null : <Problem error={lost} />}
          <ol className="waves">
            {rollout.waves.map((wave) => (
              <WavePart
                key={wave.index}
                rollout={rollout}
                wave={wave}
                store={store}
                cells={cells}
                only={only}
              />
            ))}
          </ol>
          {rollout.waves.length > 0 ? null : (
            <Empty icon={<Rocket aria-hidden />} title="There are no waves" />
          )}
          {cells === null || cells.beyond === 0 ? null : (
            <p className="soft small waves-beyond">
              {counted(cells.beyond, 'more node')} are not drawn; the table has them.
            </p>
          )}
        </Card>
        <Below rollout={rollout} store={store} only={only} onOnly={onOnly} />
      </div>
    </Page>
  );
};

const Below = ({
  rollout,
  ...rest
}: {
  readonly rollout: Rollout;
  readonly store: ReturnType<typeof useCells>['store'];
  readonly only: string | null;
  readonly onOnly: (state: string | null) => void;
}): ReactNode => (
  <Tabs
    label="More about this rollout"
    tabs={[
      {
        id: 'nodes',
        title: 'Nodes',
        content: () => <RolloutTargets rollout={rollout} {...rest} />,
      },
      { id: 'journal', title: 'Journal', content: () => <Journal id={rollout.id} /> },
      ...(rollout.strategy === 'scheduled'
        ? [
            {
              id: 'rings',
              title: 'Rings',
              content: () => <RingReport id={rollout.id} isMoving={!isOver(rollout)} />,
            },
          ]
        : []),
      {
        id: 'left-out',
        title: `Left out (${rollout.skipped.length.toLocaleString('en')})`,
        content: () => <LeftOut skipped={rollout.skipped} />,
      },
    ]}
  />
);

/** When what is waited for could change by time alone. */
const Until = ({ rollout }: { readonly rollout: Rollout }): ReactNode => {
  const waiting = rollout.waves.find(
    ({ reason, until }) => until !== null && reason === rollout.reason,
  );
  if (waiting === undefined || isOver(rollout)) return null;
  return (
    <span className="soft">
      <Countdown until={waiting.until} />
    </span>
  );
};

const Glass = ({ rollout }: { readonly rollout: Rollout }): ReactNode => {
  const { break_glass: glass } = rollout;
  if (glass === null || Date.parse(glass.until) < Date.now()) return null;
  return (
    <Note tone="warn">
      <strong>
        <bdi>{glass.by_name}</bdi> broke the glass
      </strong>{' '}
      <Time at={glass.at} />: freezes, windows and missing approvals do not hold this rollout for{' '}
      <Countdown until={glass.until} />. <bdi className="wrap-anywhere">“{glass.reason}”</bdi>
    </Note>
  );
};

const About = ({ rollout }: { readonly rollout: Rollout }): ReactNode => {
  const { nameOf } = useGroups();
  const { scope } = rollout;
  const strategy = STRATEGIES.find(({ value }) => value === rollout.strategy);
  return (
    <Card>
      <div className="about">
        <Progress rollout={rollout} />
        <Facts
          items={[
            [
              'Where',
              scope.kind === 'node' ? (
                <Link key="where" to={`/nodes/${scope.id}`}>
                  one node, <code>{scope.id}</code>
                </Link>
              ) : (
                <Link key="where" to={`/groups/${scope.id}`}>
                  <bdi>{nameOf(scope.id)}</bdi>
                </Link>
              ),
            ],
            ['How', `${strategy?.label ?? sentence(words(rollout.strategy))}, ${rollout.channel}`],
            ...(rollout.plan === null
              ? []
              : [
                  [
                    'Plan',
                    <Link key="plan" to="/plans">
                      <bdi>{rollout.plan.name}</bdi>, revision {rollout.plan.revision}
                    </Link>,
                  ] as const,
                ]),
            ...(rollout.schedule === null
              ? []
              : [
                  [
                    'Started by',
                    <Link key="schedule" to="/plans">
                      the schedule <bdi>{rollout.schedule.name}</bdi>
                    </Link>,
                  ] as const,
                ]),
            [
              'Begun',
              <span key="begun">
                <Time at={rollout.created_at} /> by <bdi>{rollout.created_by}</bdi>
              </span>,
            ],
            ['Changed', <Time key="changed" at={rollout.updated_at} />],
            ...(rollout.reverts === null
              ? []
              : [
                  [
                    'Brings back',
                    <Link key="reverts" to={`/rollouts/${rollout.reverts}`}>
                      what the rollout <code>{rollout.reverts}</code> did
                    </Link>,
                  ] as const,
                ]),
          ]}
        />
      </div>
    </Card>
  );
};
