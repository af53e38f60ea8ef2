import { CalendarClock, Ellipsis, ListChecks, Plus } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { useCall, useList } from '../../app/api.js';
import { useCan, useGroups, type Group } from '../../app/session.js';
import '../../style/change.css';
import {
  Button,
  Card,
  Confirm,
  Empty,
  IconButton,
  Menu,
  Page,
  say,
  Table,
  Time,
  type Column,
} from '../../ui/index.js';
import { EditPlan, NewPlan } from './plan-form.js';
import { howInWords, type Plan } from './plan-words.js';
import { NewSchedule } from './schedule-form.js';
import { ScheduleTable } from './schedules.js';

/** What is stored for rollouts to come: how they go, and what starts them. */
export default function Plans(): ReactNode {
  const can = useCan();
  const { groups } = useGroups();
  const mayHere = groups.filter(({ id }) => can('group.upgrade', id));
  const [making, setMaking] = useState<'plan' | 'schedule' | null>(null);
  const button = (what: 'plan' | 'schedule'): ReactNode =>
    mayHere.length === 0 ? null : (
      <Button icon={<Plus aria-hidden />} onPress={() => setMaking(what)}>
        New {what}
      </Button>
    );
  return (
    <Page title="Plans and schedules">
      <div className="stack">
        <Card title="Schedules" actions={button('schedule')}>
          <ScheduleTable
            empty={
              <Empty icon={<CalendarClock aria-hidden />} title="No schedule yet">
                A schedule starts a rollout by itself when a release comes to a channel: by a stored
                plan, inside a window, once.
              </Empty>
            }
          />
        </Card>
        <Card title="Plans" actions={button('plan')}>
          <PlanTable groups={mayHere} />
        </Card>
      </div>
      {making === 'plan' ? <NewPlan groups={mayHere} onClose={() => setMaking(null)} /> : null}
      {making === 'schedule' ? (
        <NewSchedule groups={mayHere} onClose={() => setMaking(null)} />
      ) : null}
    </Page>
  );
}

interface Asking {
  readonly what: 'edit' | 'delete';
  readonly plan: Plan;
}

const PlanTable = ({ groups }: { readonly groups: readonly Group[] }): ReactNode => {
  const list = useList('plans.list', { query: { limit: 100 } });
  const [asking, setAsking] = useState<Asking | null>(null);
  const columns = useColumns(setAsking);
  return (
    <>
      <Table
        label="Plans"
        list={list}
        keyOf={({ id }) => id}
        columns={columns}
        empty={
          <Empty icon={<ListChecks aria-hidden />} title="No plan yet">
            A plan says how releases go out: waves, gates, limits. Store one, and choose it in a new
            rollout or in a schedule.
          </Empty>
        }
      />
      {asking?.what === 'edit' ? (
        <EditPlan id={asking.plan.id} groups={groups} onClose={() => setAsking(null)} />
      ) : null}
      {asking?.what === 'delete' ? (
        <DeletePlan plan={asking.plan} onClose={() => setAsking(null)} />
      ) : null}
    </>
  );
};

const DeletePlan = ({
  plan,
  onClose,
}: {
  readonly plan: Plan;
  readonly onClose: () => void;
}): ReactNode => {
  const remove = useCall('plans.remove', { stale: ['audit'] });
  return (
    <Confirm
      title={`Delete the plan ${plan.name}?`}
      consequences={[
        'Nobody can choose it any more.',
        'Rollouts that were made by it keep their terms, and go on.',
      ]}
      verb="Delete plan"
      danger
      run={async () => {
        await remove.run({ params: { id: plan.id } });
        say(`The plan ${plan.name} is deleted.`);
      }}
      onClose={onClose}
    />
  );
};

function useColumns(ask: (asking: Asking) => void): readonly Column<Plan>[] {
  const { nameOf } = useGroups();
  const can = useCan();
  return useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(150px, 1fr)',
        cell: ({ name, note }) => (
          <span title={note === '' ? name : `${name}: ${note}`} className="cut">
            <bdi>{name}</bdi>
          </span>
        ),
      },
      {
        id: 'how',
        title: 'How',
        width: 'minmax(190px, 2fr)',
        cell: (plan) => <span title={howInWords(plan)}>{howInWords(plan)}</span>,
      },
      {
        id: 'group',
        title: 'Group',
        width: 'minmax(110px, 1fr)',
        cell: ({ group_id: group }) => <bdi>{nameOf(group)}</bdi>,
      },
      { id: 'revision', title: 'Revision', width: '90px', end: true, cell: (p) => p.revision },
      { id: 'used', title: 'Schedules', width: '112px', end: true, cell: (p) => p.schedules },
      {
        id: 'changed',
        title: 'Changed',
        width: '148px',
        cell: ({ updated_at: at }) => <Time at={at} />,
      },
      {
        id: 'do',
        title: '',
        width: '76px',
        cell: (plan) =>
          can('group.upgrade', plan.group_id) ? (
            <Menu
              label={`What can be done with ${plan.name}`}
              choices={[
                {
                  id: 'edit',
                  label: 'Edit…',
                  run: () => ask({ what: 'edit', plan }),
                },
                {
                  id: 'delete',
                  label: 'Delete…',
                  danger: true,
                  run: () => ask({ what: 'delete', plan }),
                },
              ]}
            >
              <IconButton label={`More about ${plan.name}`}>
                <Ellipsis aria-hidden />
              </IconButton>
            </Menu>
          ) : null,
      },
    ],
    [ask, can, nameOf],
  );
}
