import { useState, type ReactNode, type SubmitEvent } from 'react';
import { useNavigate } from 'react-router';
import { useCall } from '../../app/api.js';
import {
  Button,
  Checkbox,
  Confirm,
  Copy,
  counted,
  Dialog,
  exactly,
  Note,
  Problem,
  problemAt,
  say,
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
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    try {
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
    } catch {
      // Shown below.
    }
  };
  return (
    <Dialog title={`Change ${sink.name}`} isOpen wide onClose={onClose} isBusy={change.isRunning}>
      <form
        className="stack"
        // What the manager refused may be sent again: the browser would hold the form back for it.
        noValidate={change.error !== null}
        onSubmit={(event) => void submit(event)}
      >
        {sink.updated_at === openedAt ? null : (
          <Note tone="warn">
            Somebody changed this sink {exactly(sink.updated_at)}, after you opened this window.
            What you save replaces it: close and open again to see what is there now.
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
        {change.error === null ? null : <Problem error={change.error} />}
        <div className="row row-end">
          <Button onPress={onClose} isDisabled={change.isRunning}>
            Go back
          </Button>
          <Button type="submit" kind="primary" isBusy={change.isRunning}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
};

const Backfill = ({ sink, onClose }: Given): ReactNode => {
  const [since, setSince] = useState('');
  const backfill = useCall('sinks.backfill');
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    try {
      const body = { since: new Date(since).toISOString() };
      const { lag } = await backfill.run({ params: { id: sink.id }, body });
      say(`Delivering again: ${counted(lag.events, 'event')} to go.`);
      onClose();
    } catch {
      // Shown below.
    }
  };
  return (
    <Dialog title="Deliver again from" isOpen onClose={onClose} isBusy={backfill.isRunning}>
      <form
        className="stack"
        // What the manager refused may be sent again: the browser would hold the form back for it.
        noValidate={backfill.error !== null}
        onSubmit={(event) => void submit(event)}
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
        {backfill.error === null ? null : <Problem error={backfill.error} />}
        <div className="row row-end">
          <Button onPress={onClose} isDisabled={backfill.isRunning}>
            Go back
          </Button>
          <Button
            type="submit"
            kind="primary"
            isBusy={backfill.isRunning}
            isDisabled={since === ''}
          >
            Deliver again
          </Button>
        </div>
      </form>
    </Dialog>
  );
};

const Rotate = ({ sink, onClose }: Given): ReactNode => {
  const [hours, setHours] = useState('24');
  const [made, setMade] = useState<{ secret: string | null; until: string | null } | null>(null);
  const rotate = useCall('sinks.rotate_secret');
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    try {
      const given = { params: { id: sink.id }, body: { grace_hours: Number(hours) } };
      const { secret, old_until: until } = await rotate.run(given);
      setMade({ secret, until });
    } catch {
      // Shown below.
    }
  };
  if (made !== null)
    return (
      <Dialog title="The new secret, shown once" isOpen onClose={onClose}>
        {made.secret === null ? null : <Copy text={made.secret} label="the secret" />}
        <Note tone="warn">
          {made.until === null
            ? 'The old one counts no more.'
            : `Until ${exactly(made.until)} requests carry signatures of both.`}
        </Note>
        <div className="row row-end">
          <Button kind="primary" onPress={onClose}>
            I have it
          </Button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title="Rotate the secret" isOpen onClose={onClose} isBusy={rotate.isRunning}>
      <form
        className="stack"
        // What the manager refused may be sent again: the browser would hold the form back for it.
        noValidate={rotate.error !== null}
        onSubmit={(event) => void submit(event)}
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
        {rotate.error === null ? null : <Problem error={rotate.error} />}
        <div className="row row-end">
          <Button onPress={onClose} isDisabled={rotate.isRunning}>
            Go back
          </Button>
          <Button type="submit" kind="primary" isBusy={rotate.isRunning}>
            Rotate
          </Button>
        </div>
      </form>
    </Dialog>
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
