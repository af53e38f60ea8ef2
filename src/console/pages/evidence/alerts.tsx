import { BellOff } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import { useFilters } from '../../app/filters.js';
import { useCan, useGroups } from '../../app/session.js';
import {
  Badge,
  Button,
  Confirm,
  Empty,
  Page,
  say,
  Select,
  sentence,
  Table,
  Time,
  words,
  type Column,
} from '../../ui/index.js';
import '../../style/evidence.css';
import { SeverityBadge } from './severity.js';

type Alert = Answer<'alerts.list'>['items'][number];
type State = 'raised' | 'resolved';
const isState = (text: string | undefined): text is State =>
  text === 'raised' || text === 'resolved';

/** What is wrong now, and what was: for everybody who may see events. */
export default function Alerts(): ReactNode {
  const { values, set } = useFilters(['state']);
  const state =
    values.state === 'all' ? undefined : isState(values.state) ? values.state : 'raised';
  const list = useList('alerts.list', { query: { limit: 100, ...(state ? { state } : {}) } });
  const [resolving, setResolving] = useState<Alert | null>(null);
  const resolve = useCall('alerts.resolve', { stale: ['events', 'needs'] });
  const columns = useColumns(setResolving);
  return (
    <Page title="Alerts">
      <div className="toolbar">
        <Select
          label="Which"
          value={state ?? 'all'}
          onChange={(next: string) => set({ state: next === 'raised' ? null : next })}
          choices={[
            { value: 'raised', label: 'Raised now' },
            { value: 'resolved', label: 'Resolved' },
            { value: 'all', label: 'All' },
          ]}
        />
      </div>
      <Table
        label="Alerts, newest first"
        list={list}
        keyOf={({ id }) => id}
        columns={columns}
        empty={
          <Empty icon={<BellOff aria-hidden />} title="Nothing is wrong">
            Alerts are raised when a node rolls back or falls silent, when a rollout pauses by
            itself, and when a node finds the audit log rewritten. To be called, make a webhook sink
            for the category alert.
          </Empty>
        }
      />
      {resolving === null ? null : (
        <Confirm
          title="Resolve this alert?"
          consequences={[
            <bdi key="message">{resolving.message}</bdi>,
            'It counts as dealt with, and everybody who follows events is told so.',
            resolving.rule === 'sink_behind'
              ? 'While the sink is behind, it is raised anew within seconds. It resolves itself when the sink has caught up: mend its receiver, or pause the sink.'
              : 'When the same thing happens again, it is raised anew.',
          ]}
          verb="Resolve"
          run={async () => {
            await resolve.run({ params: { id: resolving.id } });
            say('The alert is resolved.');
          }}
          onClose={() => setResolving(null)}
        />
      )}
    </Page>
  );
}

function useColumns(resolve: (alert: Alert) => void): readonly Column<Alert>[] {
  const { nameOf } = useGroups();
  const can = useCan();
  return useMemo(
    () => [
      {
        id: 'severity',
        title: 'Severity',
        width: '112px',
        cell: ({ severity }) => <SeverityBadge severity={severity} />,
      },
      {
        id: 'rule',
        title: 'Rule',
        width: '150px',
        cell: ({ rule }) => sentence(words(rule)),
      },
      {
        id: 'message',
        title: 'What is wrong',
        width: 'minmax(260px, 3fr)',
        cell: ({ message }) => (
          <bdi title={message} className="fill">
            {message}
          </bdi>
        ),
      },
      {
        id: 'about',
        title: 'About',
        width: 'minmax(120px, 1fr)',
        cell: ({ node_id: node, rollout_id: rollout }) => (
          <span className="row">
            {node === null ? null : <Link to={`/nodes/${node}`}>node</Link>}
            {rollout === null ? null : <Link to={`/rollouts/${rollout}`}>rollout</Link>}
          </span>
        ),
      },
      {
        id: 'group',
        title: 'Group',
        width: 'minmax(110px, 1fr)',
        cell: ({ group_id: id }) => <bdi>{nameOf(id)}</bdi>,
      },
      {
        id: 'raised',
        title: 'Raised',
        width: '140px',
        cell: ({ raised_at: at }) => <Time at={at} />,
      },
      {
        id: 'resolved',
        title: 'Resolved',
        width: '150px',
        cell: (alert) =>
          alert.resolved_at !== null ? (
            <Time at={alert.resolved_at} />
          ) : can('group.manage', alert.group_id) ? (
            <Button onPress={() => resolve(alert)}>Resolve</Button>
          ) : (
            <Badge tone="warn">lasts</Badge>
          ),
      },
    ],
    [nameOf, can, resolve],
  );
}
