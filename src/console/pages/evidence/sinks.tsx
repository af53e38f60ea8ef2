import { Plus, Send } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import { Link } from 'react-router';
import { useList } from '../../app/api.js';
import { useCan } from '../../app/session.js';
import '../../style/evidence.css';
import { Button, count, Empty, exactly, Page, Table, type Column } from '../../ui/index.js';
import { CreateSink } from './sink-create.js';
import { SINK_KIND_WORDS, type Sink } from './sink-kinds.js';
import { circuitInWords, destinationOf, lagInWords, SinkBadge } from './sink-state.js';

export default function Sinks(): ReactNode {
  const can = useCan();
  const [isMaking, setMaking] = useState(false);
  return (
    <Page
      title="Sinks"
      actions={
        can('sink.manage') ? (
          <Button kind="primary" icon={<Plus aria-hidden />} onPress={() => setMaking(true)}>
            New sink
          </Button>
        ) : null
      }
    >
      <SinkList onNew={() => setMaking(true)} />
      {isMaking ? <CreateSink onClose={() => setMaking(false)} /> : null}
    </Page>
  );
}

const SinkList = ({ onNew }: { readonly onNew: () => void }): ReactNode => {
  const list = useList('sinks.list', { query: { limit: 100 } });
  const columns = useColumns();
  return (
    <Table
      label="Sinks"
      list={list}
      keyOf={({ id }) => id}
      columns={columns}
      empty={
        <Empty
          icon={<Send aria-hidden />}
          title="No sink yet"
          action={
            <Button kind="primary" icon={<Plus aria-hidden />} onPress={onNew}>
              New sink
            </Button>
          }
        >
          A sink delivers events to a webhook, syslog, Splunk, Elasticsearch or a file: in order,
          none lost, however long the receiver is away.
        </Empty>
      }
    />
  );
};

function useColumns(): readonly Column<Sink>[] {
  return useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(150px, 1.2fr)',
        cell: ({ id, name }) => (
          <Link to={`/sinks/${id}`}>
            <bdi>{name}</bdi>
          </Link>
        ),
      },
      {
        id: 'state',
        title: 'State',
        width: '114px',
        cell: (sink) => <SinkBadge sink={sink} />,
      },
      {
        id: 'kind',
        title: 'To',
        width: 'minmax(130px, 1fr)',
        cell: (sink) => (
          <span title={destinationOf(sink)} className="fill">
            {SINK_KIND_WORDS[sink.kind].title} <code className="soft">{destinationOf(sink)}</code>
          </span>
        ),
      },
      { id: 'lag', title: 'Lag', width: '228px', cell: (sink) => lagInWords(sink) },
      {
        id: 'circuit',
        title: 'Circuit',
        width: '140px',
        cell: (sink) => <span title={circuitInWords(sink)}>{circuitInWords(sink)}</span>,
      },
      {
        id: 'error',
        title: 'Last error',
        width: '224px',
        cell: ({ circuit: { last_error: last } }) =>
          last === null ? (
            <span className="soft">none</span>
          ) : (
            <span title={`${last.message}, ${exactly(last.at)}`} className="fill">
              <code>{last.code}</code>
            </span>
          ),
      },
      {
        id: 'dead',
        title: 'Dead letters',
        width: '116px',
        end: true,
        cell: ({ dead_letters: dead }) => count(dead),
      },
    ],
    [],
  );
}
