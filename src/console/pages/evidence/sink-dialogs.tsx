import { useState, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import { useCall } from '../../app/api.js';
import {
  Checkbox,
  Confirm,
  counted,
  exactly,
  FormDialog,
  Note,
  problemAt,
  say,
  ShownOnce,
  TextField,
} from '../../ui/index.js';
import { SinkFields, SinkFilterFields } from './sink-fields.js';
import {
  initialValues,
  SINK_KIND_WORDS,
  valuesToSend,
  type FieldValues,
  type Sink,
  type SinkField,
} from './sink-kinds.js';

export type SinkTask = 'change' | 'backfill' | 'rotate' | 'remove';
interface Given {
  readonly sink: Sink;
  readonly onClose: () => void;
}

/** The window of one thing to do with a sink. */
export const SinkDialogs = ({ task, ...given }: Given & { readonly task: SinkTask }): ReactNode => {
  switch (task) {
    case 'change':
      return <Change {...given} />;
    case 'backfill':
      return <Backfill {...given} />;
    case 'rotate':
      return <Rotate {...given} />;
    case 'remove':
      return <Remove {...given} />;
  }
};

const valuesOf = (fields: readonly SinkField[], sink: Sink): FieldValues =>
  Object.fromEntries(
    fields.map(({ key }) => {
      const value = sink.config[key];
      return [key, typeof value === 'boolean' ? value : value == null ? '' : shown(value)];
    }),
  );
const shown = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

const Change = ({ sink, onClose }: Given): ReactNode => {
  const kind = SINK_KIND_WORDS[sink.kind];
  const [name, setName] = useState(sink.name);
  const [config, setConfig] = useState(() => valuesOf(kind.config, sink));
  const [credentials, setCredentials] = useState(() => initialValues(kind.credentials));
  const [isNew, setNew] = useState(false);
  const [filter, setFilter] = useState(sink.filter);
  // As it was when the window was opened: what others changed since is told, not overwritten unseen.
  const [openedAt] = useState(sink.updated_at);
  const change = useCall('sinks.change');
  const save = async (): Promise<void> => {
    await change.run({
      params: { id: sink.id },
      body: {
        name,
        config: valuesToSend(kind.config, config, true),
        filter,
        ...(isNew ? { credentials: valuesToSend(kind.credentials, credentials) } : {}),
      },
    });
    say('Changed. It is tried at once.');
    onClose();
  };
  return (
    <FormDialog
      title={`Change ${sink.name}`}
      verb="Save"
      wide
      isBusy={change.isRunning}
      error={change.error}
      onSubmit={save}
      onClose={onClose}
    >
      {sink.updated_at === openedAt ? null : (
        <Note tone="warn">
          Somebody changed this sink {exactly(sink.updated_at)}, after you opened this window. What
          you save replaces it: close and open again to see what is there now.
        </Note>
      )}
      <TextField
        label="Name"
        value={name}
        onChange={setName}
        isRequired
        maxLength={128}
        error={problemAt(change.error, 'body.name')}
      />
      <SinkFields
        part="config"
        fields={kind.config}
        values={config}
        onChange={setConfig}
        error={change.error}
      />
      {kind.credentials.length === 0 ? null : (
        <Checkbox isSelected={isNew} onChange={setNew}>
          Give new credentials, in place of all that are stored
        </Checkbox>
      )}
      {isNew ? (
        <SinkFields
          part="credentials"
          fields={kind.credentials.map((field) => ({ ...field, isRare: false }))}
          values={credentials}
          onChange={setCredentials}
          error={change.error}
        />
      ) : null}
      <h3>What is delivered</h3>
      <SinkFilterFields value={filter} onChange={setFilter} error={change.error} />
    </FormDialog>
  );
};

const Backfill = ({ sink, onClose }: Given): ReactNode => {
  const [since, setSince] = useState('');
  const backfill = useCall('sinks.backfill');
  return (
    <FormDialog
      title="Deliver again from"
      verb="Deliver again"
      isReady={since !== ''}
      isBusy={backfill.isRunning}
      error={backfill.error}
      onSubmit={async () => {
        const body = { since: new Date(since).toISOString() };
        const { lag } = await backfill.run({ params: { id: sink.id }, body });
        say(`Delivering again: ${counted(lag.events, 'event')} to go.`);
        onClose();
      }}
      onClose={onClose}
    >
      <p>
        Everything received since then is sent once more, under the same ids. Receivers that know
        ids keep each event once; others get them twice.
      </p>
      <TextField
        label="From"
        type="datetime-local"
        value={since}
        onChange={setSince}
        hint="In your time zone."
        isRequired
      />
    </FormDialog>
  );
};

const Rotate = ({ sink, onClose }: Given): ReactNode => {
  const [hours, setHours] = useState('24');
  const [made, setMade] = useState<{ secret: string | null; until: string | null } | null>(null);
  const rotate = useCall('sinks.rotate_secret');
  if (made !== null)
    return (
      <ShownOnce
        title="The new secret, shown once"
        text={made.secret}
        label="the secret"
        onClose={onClose}
      >
        {made.until === null
          ? 'The old one counts no more.'
          : `Until ${exactly(made.until)} requests carry signatures of both.`}
      </ShownOnce>
    );
  return (
    <FormDialog
      title="Rotate the secret"
      verb="Rotate"
      isBusy={rotate.isRunning}
      error={rotate.error}
      onSubmit={async () => {
        const given = { params: { id: sink.id }, body: { grace_hours: Number(hours) } };
        const { secret, old_until: until } = await rotate.run(given);
        setMade({ secret, until });
      }}
      onClose={onClose}
    >
      <p>A new secret is made and shown once. For a while, requests carry signatures of both.</p>
      <TextField
        label="Sign with both for (hours)"
        value={hours}
        onChange={setHours}
        inputMode="numeric"
        hint="0 to 720; 0: the old one ends at once."
        error={problemAt(rotate.error, 'body.grace_hours')}
        isRequired
      />
    </FormDialog>
  );
};

const Remove = ({ sink, onClose }: Given): ReactNode => {
  const remove = useCall('sinks.remove');
  const navigate = useNavigate();
  return (
    <Confirm
      title={`Remove ${sink.name}?`}
      consequences={[
        'Nothing more is delivered by it.',
        sink.lag.events === 0
          ? 'Its place in the log is forgotten.'
          : `Its place in the log is forgotten, and ${counted(sink.lag.events, 'event')} that wait are not delivered.`,
        sink.dead_letters === 0
          ? 'It has no dead letters.'
          : `Its ${counted(sink.dead_letters, 'dead letter')} go with it.`,
        'Events stay in the log: a new sink can begin with the oldest that is kept.',
      ]}
      verb="Remove sink"
      danger
      tick="I know that this cannot be taken back"
      run={async () => {
        await remove.run({ params: { id: sink.id } });
        say('The sink is removed.');
        void navigate('/sinks');
      }}
      onClose={onClose}
    />
  );
};
