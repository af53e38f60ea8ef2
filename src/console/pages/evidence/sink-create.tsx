import { useState, type ReactNode } from 'react';
import { useNavigate } from 'react-router';
import { useCall } from '../../app/api.js';
import { choicesOf, useGroups, useMe } from '../../app/session.js';
import { Choices, FormDialog, problemAt, Select, ShownOnce, TextField } from '../../ui/index.js';
import { NO_FILTER, SinkFields, SinkFilterFields } from './sink-fields.js';
import {
  initialValues,
  SINK_KIND_WORDS,
  valuesToSend,
  type FieldValues,
  type SinkKind,
} from './sink-kinds.js';

const PLATFORM = 'platform';
const KINDS = Object.entries(SINK_KIND_WORDS).map(([value, { title, meaning }]) => ({
  value: value as SinkKind,
  label: title,
  hint: meaning,
}));

interface Draft {
  readonly name: string;
  readonly groupId: string | null;
  readonly kind: SinkKind;
  readonly config: FieldValues;
  readonly credentials: FieldValues;
  readonly filter: typeof NO_FILTER;
  readonly from: 'now' | 'beginning';
}
const draftOf = (kind: SinkKind, name: string, groupId: string | null): Draft => ({
  name,
  groupId,
  kind,
  config: initialValues(SINK_KIND_WORDS[kind].config),
  credentials: initialValues(SINK_KIND_WORDS[kind].credentials),
  filter: NO_FILTER,
  from: 'now',
});

/** Makes a sink; the secret of a webhook is shown once, and then its page comes. */
export const CreateSink = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const me = useMe();
  const isSuper = me.grants.some(({ role }) => role === 'super_admin');
  const ownGroup = me.grants.find(({ role }) => role === 'admin')?.group_id ?? null;
  const [draft, setDraft] = useState(() => draftOf('webhook', '', isSuper ? null : ownGroup));
  const [made, setMade] = useState<{ readonly id: string; readonly secret: string } | null>(null);
  const create = useCall('sinks.create', { stale: ['audit'] });
  const navigate = useNavigate();
  const change = (changes: Partial<Draft>): void => setDraft({ ...draft, ...changes });
  const submit = async (): Promise<void> => {
    const { config, credentials } = SINK_KIND_WORDS[draft.kind];
    const { id, secret } = await create.run({
      body: {
        name: draft.name,
        kind: draft.kind,
        group_id: draft.groupId,
        config: valuesToSend(config, draft.config),
        credentials: valuesToSend(credentials, draft.credentials),
        filter: draft.filter,
        from: draft.from,
      },
    });
    if (secret === null) void navigate(`/sinks/${id}`);
    else setMade({ id, secret });
  };
  if (made !== null)
    return (
      <ShownOnce
        title="The signing secret, shown once"
        text={made.secret}
        label="the secret"
        note="It is stored sealed and never shown again. When it is lost, rotate it."
        onClose={() => void navigate(`/sinks/${made.id}`)}
      >
        Give it to the receiver now: it checks with it that requests come from here.
      </ShownOnce>
    );
  return (
    <FormDialog
      title="New sink"
      verb="Create sink"
      wide
      isBusy={create.isRunning}
      error={create.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Basics draft={draft} change={change} isSuper={isSuper} error={create.error} />
      <SinkFields
        key={draft.kind}
        part="config"
        fields={SINK_KIND_WORDS[draft.kind].config}
        values={draft.config}
        onChange={(config) => change({ config })}
        error={create.error}
      />
      <SinkFields
        key={`${draft.kind} credentials`}
        part="credentials"
        fields={SINK_KIND_WORDS[draft.kind].credentials}
        values={draft.credentials}
        onChange={(credentials) => change({ credentials })}
        error={create.error}
      />
      <h3>What is delivered</h3>
      <SinkFilterFields
        value={draft.filter}
        onChange={(filter) => change({ filter })}
        error={create.error}
      />
      <Choices
        label="Begin with"
        value={draft.from}
        onChange={(from: 'now' | 'beginning') => change({ from })}
        choices={[
          { value: 'now', label: 'The next event' },
          { value: 'beginning', label: 'The oldest event that is kept' },
        ]}
      />
    </FormDialog>
  );
};

const Basics = ({
  draft,
  change,
  isSuper,
  error,
}: {
  readonly draft: Draft;
  readonly change: (changes: Partial<Draft>) => void;
  readonly isSuper: boolean;
  readonly error: Error | null;
}): ReactNode => {
  const { groups } = useGroups();
  const owners = [
    ...(isSuper ? [{ value: PLATFORM, label: 'The platform: sees all groups' }] : []),
    ...choicesOf(groups),
  ];
  return (
    <div className="form-grid">
      <TextField
        label="Name"
        value={draft.name}
        onChange={(name) => change({ name })}
        error={problemAt(error, 'body.name')}
        maxLength={128}
        isRequired
        autoFocus
      />
      <Select
        label="Kind"
        value={draft.kind}
        onChange={(kind: SinkKind) =>
          change({ ...draftOf(kind, draft.name, draft.groupId), filter: draft.filter })
        }
        choices={KINDS.filter(({ value }) => isSuper || value !== 'file')}
      />
      <Select
        label="Belongs to"
        hint="It gets the events of that group and of those below."
        value={draft.groupId ?? (isSuper ? PLATFORM : null)}
        onChange={(id: string) => change({ groupId: id === PLATFORM ? null : id })}
        choices={owners}
        placeholder="Choose a group"
        error={problemAt(error, 'body.group_id')}
      />
    </div>
  );
};
