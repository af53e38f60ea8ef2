import { Ellipsis } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import { useCall, useList } from '../../app/api.js';
import { useCan, useGroups } from '../../app/session.js';
import {
  Confirm,
  IconButton,
  Menu,
  say,
  sentence,
  StateBadge,
  Table,
  Time,
  words,
  type Column,
} from '../../ui/index.js';
import { reasonInWords } from '../change/reasons.js';
import { windowInWords, type Schedule } from './plan-words.js';
import { EditSchedule } from './schedule-form.js';

type Verb = 'pause' | 'resume' | 'delete';
interface Asking {
  readonly verb: Verb | 'edit';
  readonly schedule: Schedule;
}

/** What each schedule waits for, when its window opens, and what became of the last release. */
export const ScheduleTable = ({ empty }: { readonly empty: ReactNode }): ReactNode => {
  const list = useList('schedules.list', { query: { limit: 100 } });
  const [asking, setAsking] = useState<Asking | null>(null);
  const columns = useColumns(setAsking);
  return (
    <>
      <Table label="Schedules" list={list} keyOf={({ id }) => id} columns={columns} empty={empty} />
      {asking === null ? null : asking.verb === 'edit' ? (
        <EditSchedule id={asking.schedule.id} onClose={() => setAsking(null)} />
      ) : (
        <Ask verb={asking.verb} schedule={asking.schedule} onClose={() => setAsking(null)} />
      )}
    </>
  );
};

const CONSEQUENCES: Readonly<Record<Verb, readonly string[]>> = {
  pause: ['It starts nothing until somebody resumes it.', 'Rollouts that it has started go on.'],
  resume: [
    'It starts rollouts with your rights from now on.',
    'When releases came meanwhile, the newest of them is started in its next window.',
  ],
  delete: ['It starts nothing any more.', 'Rollouts that it has started go on.'],
};
const DONE: Readonly<Record<Verb, string>> = {
  pause: 'is paused',
  resume: 'goes on',
  delete: 'is deleted',
};

const Ask = ({
  verb,
  schedule,
  onClose,
}: {
  readonly verb: Verb;
  readonly schedule: Schedule;
  readonly onClose: () => void;
}): ReactNode => {
  const stale = ['audit', 'plans'];
  const pause = useCall('schedules.pause', { stale });
  const resume = useCall('schedules.resume', { stale: [...stale, 'rollouts'] });
  const remove = useCall('schedules.remove', { stale });
  const { name } = schedule;
  const run = async (): Promise<void> => {
    const given = { params: { id: schedule.id } };
    if (verb === 'pause') await pause.run(given);
    else if (verb === 'resume') await resume.run(given);
    else await remove.run(given);
    say(`The schedule ${name} ${DONE[verb]}.`);
  };
  return (
    <Confirm
      title={`${sentence(verb)} the schedule ${name}?`}
      consequences={CONSEQUENCES[verb]}
      verb={`${sentence(verb)} schedule`}
      danger={verb === 'delete'}
      run={run}
      onClose={onClose}
    />
  );
};

const Last = ({ last }: Pick<Schedule, 'last'>): ReactNode => {
  if (last === null) return <span className="soft">nothing yet</span>;
  const text = `${words(last.result)} ${last.version ?? ''}`.trim();
  return (
    <span className="fill" title={last.message === '' ? reasonInWords(last.reason) : last.message}>
      {last.rollout_id === null ? text : <Link to={`/rollouts/${last.rollout_id}`}>{text}</Link>}{' '}
      <span className="soft">
        <Time at={last.at} />
      </span>
    </span>
  );
};

function useColumns(ask: (asking: Asking) => void): readonly Column<Schedule>[] {
  const { nameOf } = useGroups();
  const can = useCan();
  return useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(130px, 1fr)',
        cell: ({ name }) => (
          <span title={name} className="cut">
            <bdi>{name}</bdi>
          </span>
        ),
      },
      {
        id: 'state',
        title: 'State',
        width: 'minmax(190px, 2.2fr)',
        cell: ({ state, reason, message }) => (
          <span className="fill" title={message === '' ? reasonInWords(reason) : message}>
            <StateBadge state={state} />{' '}
            <span className="soft">{state === 'paused' ? '' : reasonInWords(reason)}</span>
          </span>
        ),
      },
      {
        id: 'what',
        title: 'Starts',
        width: 'minmax(210px, 1.5fr)',
        cell: ({ product, channel, group_id: group }) => (
          <span title={`${product} from ${channel} in ${nameOf(group)}`}>
            {product} <span className="soft">({channel})</span> in <bdi>{nameOf(group)}</bdi>
          </span>
        ),
      },
      {
        id: 'plan',
        title: 'Plan',
        width: 'minmax(90px, 0.7fr)',
        cell: ({ plan }) => <bdi>{plan}</bdi>,
      },
      {
        id: 'window',
        title: 'Next window',
        width: '140px',
        cell: ({ window, next_window: next }) => (
          <span title={windowInWords(window)}>
            {next === null ? windowInWords(window) : <Time at={next.from} />}
          </span>
        ),
      },
      {
        id: 'last',
        title: 'Last',
        width: 'minmax(140px, 0.9fr)',
        cell: ({ last }) => <Last last={last} />,
      },
      {
        id: 'do',
        title: '',
        width: '76px',
        cell: (schedule) => <Verbs schedule={schedule} can={can} ask={ask} />,
      },
    ],
    [ask, can, nameOf],
  );
}

const Verbs = ({
  schedule,
  can,
  ask,
}: {
  readonly schedule: Schedule;
  readonly can: ReturnType<typeof useCan>;
  readonly ask: (asking: Asking) => void;
}): ReactNode => {
  if (!can('group.upgrade', schedule.group_id)) return null;
  // Who resumes one that runs takes it over: that is how a maker who left is replaced.
  const verbs: readonly Asking['verb'][] =
    schedule.state === 'paused'
      ? ['edit', 'resume', 'delete']
      : schedule.state === 'refused'
        ? ['edit', 'resume', 'pause', 'delete']
        : ['edit', 'pause', 'delete'];
  return (
    <Menu
      label={`What can be done with ${schedule.name}`}
      choices={verbs.map((verb) => ({
        id: verb,
        label: `${sentence(verb)}…`,
        danger: verb === 'delete',
        run: () => ask({ verb, schedule }),
      }))}
    >
      <IconButton label={`More about ${schedule.name}`}>
        <Ellipsis aria-hidden />
      </IconButton>
    </Menu>
  );
};
