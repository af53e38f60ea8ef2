import { FlaskConical, Pause, Play } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { useParams } from 'react-router';
import type { Answer } from '../../../client/index.js';
import { useApi, useCall } from '../../app/api.js';
import { useGroups } from '../../app/session.js';
import '../../style/evidence.css';
import {
  Button,
  Card,
  Countdown,
  exactly,
  Facts,
  Loaded,
  Menu,
  Page,
  say,
  sayProblem,
  Tabs,
  Time,
} from '../../ui/index.js';
import { DeadLetters } from './sink-dead-letters.js';
import { SinkDialogs, type SinkTask } from './sink-dialogs.js';
import { filterInWords } from './sink-fields.js';
import { Fix } from './event-details.js';
import { SINK_KIND_WORDS, type Sink as SinkView } from './sink-kinds.js';
import { circuitInWords, deliveredInWords, lagInWords, SinkBadge } from './sink-state.js';

/** Its lag changes with every event, and by time alone. */
const ASK_AGAIN_MS = 5_000;

export default function Sink(): ReactNode {
  const { id = '' } = useParams();
  const query = useApi('sinks.show', { params: { id } }, { everyMs: ASK_AGAIN_MS, keep: false });
  const [task, setTask] = useState<SinkTask | null>(null);
  const sink = query.data;
  return (
    <Page
      title={sink?.name ?? 'Sink'}
      crumbs={[{ to: '/sinks', label: 'Sinks' }]}
      beside={sink === undefined ? null : <SinkBadge sink={sink} />}
      actions={sink === undefined ? null : <Actions sink={sink} onTask={setTask} />}
    >
      <Loaded query={query}>
        {(shown) => (
          <div className="stack">
            <Health sink={shown} />
            <Tabs
              label="Parts of this sink"
              tabs={[
                { id: 'about', title: 'Settings', content: () => <About sink={shown} /> },
                {
                  id: 'dead',
                  title: `Dead letters (${shown.dead_letters})`,
                  content: () => <DeadLetters sink={shown} />,
                },
              ]}
            />
          </div>
        )}
      </Loaded>
      {sink === undefined || task === null ? null : (
        <SinkDialogs sink={sink} task={task} onClose={() => setTask(null)} />
      )}
    </Page>
  );
}

const Actions = ({
  sink,
  onTask,
}: {
  readonly sink: SinkView;
  readonly onTask: (task: SinkTask) => void;
}): ReactNode => {
  const pause = useCall('sinks.pause');
  const resume = useCall('sinks.resume');
  const params = { id: sink.id };
  const goOn = (): void => {
    resume.run({ params }).then(() => say('It is tried at once.'), sayProblem);
  };
  return (
    <>
      <TestButton sink={sink} />
      {sink.state === 'paused' ? (
        <Button icon={<Play aria-hidden />} isBusy={resume.isRunning} onPress={goOn}>
          Resume
        </Button>
      ) : (
        <Button
          icon={<Pause aria-hidden />}
          isBusy={pause.isRunning}
          onPress={() => {
            pause
              .run({ params })
              .then(() => say('Paused. Its place in the log is kept.'), sayProblem);
          }}
        >
          Pause
        </Button>
      )}
      <Menu
        label="More"
        choices={[
          ...(sink.state === 'failing' || sink.state === 'waiting'
            ? [{ id: 'now', label: 'Try at once', run: goOn }]
            : []),
          { id: 'change', label: 'Change…', run: () => onTask('change') },
          { id: 'backfill', label: 'Deliver again from…', run: () => onTask('backfill') },
          ...(sink.kind === 'webhook'
            ? [{ id: 'rotate', label: 'Rotate the secret…', run: () => onTask('rotate') }]
            : []),
          { id: 'remove', label: 'Remove…', danger: true, run: () => onTask('remove') },
        ]}
      >
        <Button>More</Button>
      </Menu>
    </>
  );
};

const TestButton = ({ sink }: { readonly sink: SinkView }): ReactNode => {
  const test = useCall('sinks.test');
  const told = ({ ok, message, code, duration_ms: ms }: Answer<'sinks.test'>): void => {
    const took = `${Math.round(ms)} ms`;
    if (ok) say(`The receiver took the test event in ${took}: ${message}`);
    else sayProblem(new Error(`The test failed after ${took}: ${message} (${code ?? 'no code'})`));
  };
  return (
    <Button
      icon={<FlaskConical aria-hidden />}
      isBusy={test.isRunning}
      onPress={() => {
        test.run({ params: { id: sink.id } }).then(told, sayProblem);
      }}
    >
      Send a test event
    </Button>
  );
};

const Health = ({ sink }: { readonly sink: SinkView }): ReactNode => {
  const { circuit } = sink;
  return (
    <Card>
      <div className="stack">
        <p className="wrap-anywhere">
          <strong>{sink.health}</strong>
        </p>
        <Facts
          items={[
            ['Lag', lagInWords(sink)],
            ['Delivered', deliveredInWords(sink)],
            ['Last delivered', <Time key="last" at={sink.last_delivered_at} />],
            [
              'Circuit',
              <span key="circuit">
                {circuitInWords(sink)} since <Time at={circuit.since} />
                {circuit.next_try_at === null ? null : (
                  <>
                    ; next try in <Countdown until={circuit.next_try_at} />
                  </>
                )}
              </span>,
            ],
            [
              'Last error',
              circuit.last_error === null ? (
                <span className="soft">none</span>
              ) : (
                <span>
                  <bdi>{circuit.last_error.message}</bdi> <Time at={circuit.last_error.at} />
                </span>
              ),
            ],
          ]}
        />
        {circuit.last_error === null || circuit.state === 'closed' ? null : (
          <Fix code={circuit.last_error.code} />
        )}
      </div>
    </Card>
  );
};

const shown = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

const About = ({ sink }: { readonly sink: SinkView }): ReactNode => {
  const { nameOf } = useGroups();
  const { title, config, credentials } = SINK_KIND_WORDS[sink.kind];
  const labelOf = (key: string): string =>
    [...config, ...credentials].find((field) => field.key === key)?.label ?? key;
  return (
    <div className="grid-cards">
      <Card title="Settings">
        <Facts
          items={[
            ['Kind', title],
            ['Belongs to', sink.group_id === null ? 'the platform' : nameOf(sink.group_id)],
            ...Object.entries(sink.config).map(([key, value]): readonly [string, ReactNode] => [
              labelOf(key),
              shown(value),
            ]),
          ]}
        />
      </Card>
      <Card title="What is delivered">
        <div className="stack">
          <p className="wrap-anywhere">{filterInWords(sink.filter)}</p>
          <Facts
            items={[
              ['Place in the log', `event ${sink.cursor}`],
              ['Made', exactly(sink.created_at)],
              ['Changed', exactly(sink.updated_at)],
              [
                'Credentials',
                sink.credentials.length === 0
                  ? 'none'
                  : `${sink.credentials.map(labelOf).join(', ')} (sealed, never shown)`,
              ],
            ]}
          />
        </div>
      </Card>
    </div>
  );
};
