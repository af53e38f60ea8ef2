import { MailCheck } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import {
  Badge,
  Button,
  Confirm,
  counted,
  Empty,
  say,
  sentence,
  Table,
  Time,
  words,
  type Column,
} from '../../ui/index.js';
import type { Sink } from './sink-kinds.js';

type DeadLetter = Answer<'sinks.dead_letters'>['items'][number];
/** So many ids fit one request; without any, all are meant. */
const CHOSEN_MAX = 1_000;

/** Events that the receiver will not take: try them again, or let them go. */
export const DeadLetters = ({ sink }: { readonly sink: Sink }): ReactNode => {
  const params = { id: sink.id };
  const list = useList('sinks.dead_letters', { params, query: { limit: 100 } });
  const replay = useCall('sinks.replay');
  const discard = useCall('sinks.discard');
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [asking, setAsking] = useState<'replay' | 'discard' | null>(null);
  const chosen = [...selected].slice(0, CHOSEN_MAX).map(Number);
  const which = chosen.length === 0 ? 'all' : String(chosen.length);
  const body = chosen.length === 0 ? {} : { event_ids: chosen };
  const n = chosen.length === 0 ? sink.dead_letters : chosen.length;
  const columns = useColumns();
  return (
    <div className="stack">
      {sink.dead_letters === 0 ? null : (
        <div className="row row-wrap">
          <Button onPress={() => setAsking('replay')}>Try {which} again</Button>
          <Button onPress={() => setAsking('discard')}>Let {which} go</Button>
        </div>
      )}
      <Table
        label="Dead letters"
        list={list}
        keyOf={({ event_id: id }) => String(id)}
        columns={columns}
        total={sink.dead_letters}
        selected={selected}
        onSelect={setSelected}
        empty={
          <Empty icon={<MailCheck aria-hidden />} title="No dead letters">
            An event that the receiver refuses three times is laid aside here, so that it holds up
            nothing else.
          </Empty>
        }
      />
      {asking === 'replay' ? (
        <Confirm
          title={`Try ${counted(n, 'dead letter')} again?`}
          consequences={[
            'They are sent once more, under the same ids as before.',
            'What is refused again comes back here.',
          ]}
          verb="Try again"
          run={async () => {
            const { count } = await replay.run({ params, body });
            setSelected(new Set());
            say(`${counted(count, 'event')} on the way once more.`);
          }}
          onClose={() => setAsking(null)}
        />
      ) : null}
      {asking === 'discard' ? (
        <Confirm
          title={`Let ${counted(n, 'dead letter')} go?`}
          consequences={[
            'The receiver never gets these events from this sink.',
            'They stay in the event log as long as it keeps them.',
          ]}
          verb="Let go for good"
          danger
          tick="I know that this cannot be taken back"
          run={async () => {
            const { count } = await discard.run({ params, body });
            setSelected(new Set());
            say(`${counted(count, 'dead letter')} let go.`);
          }}
          onClose={() => setAsking(null)}
        />
      ) : null}
    </div>
  );
};

const useColumns = (): readonly Column<DeadLetter>[] =>
  useMemo(
    () => [
      {
        id: 'event',
        title: 'Event',
        width: '110px',
        cell: ({ event_id: id }) => <Link to={`/events?event=${id}`}>{id}</Link>,
      },
      {
        id: 'type',
        title: 'Type',
        width: 'minmax(150px, 1fr)',
        cell: ({ type }) => sentence(words(type)),
      },
      {
        id: 'why',
        title: 'Why it was refused',
        width: 'minmax(260px, 3fr)',
        cell: ({ code, message }) => (
          <span title={message} className="fill">
            <code className="code-chip">{code}</code>
            <bdi>{message}</bdi>
          </span>
        ),
      },
      { id: 'tries', title: 'Tries', width: '70px', end: true, cell: ({ tries }) => tries },
      {
        id: 'at',
        title: 'Laid aside',
        width: '150px',
        cell: ({ at, replaying }) =>
          replaying ? <Badge tone="moving">on its way</Badge> : <Time at={at} />,
      },
    ],
    [],
  );
