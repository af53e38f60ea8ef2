import { Snowflake, Sun } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useApi, useCall } from '../../app/api.js';
import { useCan, type Group } from '../../app/session.js';
import {
  Badge,
  Button,
  Card,
  Confirm,
  exactly,
  FormDialog,
  Loaded,
  problemAt,
  say,
  TextField,
  useNow,
} from '../../ui/index.js';

type Freeze = Answer<'groups.freezes'>['items'][number];
const MINUTE_MS = 60_000;

/** Periods in which nothing new starts. */
export const FreezesCard = ({ group }: { readonly group: Group }): ReactNode => {
  const can = useCan();
  const query = useApi('groups.freezes', { params: { id: group.id } });
  const [open, setOpen] = useState<'add' | Freeze | null>(null);
  const mayChange = can('group.upgrade', group.id);
  return (
    <Card
      title="Freezes"
      actions={
        mayChange ? (
          <Button kind="quiet" onPress={() => setOpen('add')}>
            Add…
          </Button>
        ) : null
      }
    >
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="soft">
              None on this group itself. In a freeze nothing new starts here and below; what is
              under way is finished.
            </p>
          ) : (
            <ul className="lines">
              {items.map((freeze) => (
                <FreezeLine
                  key={freeze.id}
                  freeze={freeze}
                  onThaw={mayChange ? () => setOpen(freeze) : null}
                />
              ))}
            </ul>
          )
        }
      </Loaded>
      {open === 'add' ? <FreezeDialog group={group} onClose={() => setOpen(null)} /> : null}
      {open === null || open === 'add' ? null : (
        <ThawDialog group={group} freeze={open} onClose={() => setOpen(null)} />
      )}
    </Card>
  );
};

const localOf = (at: string): string => exactly(at).split(' (')[0] ?? at;

const FreezeLine = ({
  freeze,
  onThaw,
}: {
  readonly freeze: Freeze;
  readonly onThaw: (() => void) | null;
}): ReactNode => {
  const now = useNow(MINUTE_MS);
  const isOver = Date.parse(freeze.to) <= now;
  const isOn = !isOver && Date.parse(freeze.from) <= now;
  return (
    <li className="line">
      <Snowflake aria-hidden className={isOn ? 'sign-cold' : 'sign-idle'} />
      <div className="stack-tight grow">
        <span className="row row-wrap">
          <bdi className="wrap-anywhere">{freeze.name}</bdi>
          <Badge tone={isOn ? 'moving' : 'idle'}>
            {isOver ? 'over' : isOn ? 'now' : 'to come'}
          </Badge>
        </span>
        <span className="soft small" title={`${exactly(freeze.from)} to ${exactly(freeze.to)}`}>
          {localOf(freeze.from)} to {localOf(freeze.to)}
        </span>
      </div>
      {onThaw === null ? null : (
        <Button
          kind="quiet"
          icon={<Sun aria-hidden />}
          aria-label={`Thaw ${freeze.name}`}
          onPress={onThaw}
        >
          Thaw
        </Button>
      )}
    </li>
  );
};

const ThawDialog = ({
  group,
  freeze,
  onClose,
}: {
  readonly group: Group;
  readonly freeze: Freeze;
  readonly onClose: () => void;
}): ReactNode => {
  const thaw = useCall('groups.thaw', { stale: ['rollouts', 'nodes'] });
  return (
    <Confirm
      title={`Thaw ${freeze.name}`}
      consequences={[
        'The freeze is taken away.',
        'Rollouts that waited for it go on at once, unless something else holds them.',
      ]}
      verb="Thaw"
      run={async () => {
        await thaw.run({ params: { id: group.id, freeze: freeze.id } });
        say(`${freeze.name} is thawed`);
      }}
      onClose={onClose}
    />
  );
};

/** As a field for local times takes it. */
function fieldOf(ms: number): string {
  const at = new Date(ms - new Date(ms).getTimezoneOffset() * MINUTE_MS);
  return at.toISOString().slice(0, 16);
}
const DAY_MS = 86_400_000;

const FreezeDialog = ({
  group,
  onClose,
}: {
  readonly group: Group;
  readonly onClose: () => void;
}): ReactNode => {
  const freeze = useCall('groups.freeze', { stale: ['rollouts', 'nodes'] });
  const [name, setName] = useState('');
  const [from, setFrom] = useState(() => fieldOf(Date.now()));
  const [to, setTo] = useState(() => fieldOf(Date.now() + DAY_MS));
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  const isOrdered = fromMs < toMs;
  return (
    <FormDialog
      title={`Freeze ${group.name}`}
      verb="Freeze"
      icon={<Snowflake aria-hidden />}
      isReady={isOrdered && name.trim() !== ''}
      isBusy={freeze.isRunning}
      error={freeze.error}
      onSubmit={async () => {
        const body = {
          name: name.trim(),
          from: new Date(fromMs).toISOString(),
          to: new Date(toMs).toISOString(),
        };
        const made = await freeze.run({ params: { id: group.id }, body });
        say(`${made.name} is set`);
        onClose();
      }}
      onClose={onClose}
    >
      <p>Nothing new starts in this group and all below it; what is under way is finished.</p>
      <TextField
        label="Name"
        hint="Such as the reason, for those who wait"
        value={name}
        onChange={setName}
        error={problemAt(freeze.error, 'body.name')}
        maxLength={128}
        autoFocus
        isRequired
      />
      <TextField label="From" type="datetime-local" value={from} onChange={setFrom} isRequired />
      <TextField
        label="To"
        hint={`Times of ${Intl.DateTimeFormat().resolvedOptions().timeZone}, the zone of this browser`}
        type="datetime-local"
        value={to}
        onChange={setTo}
        error={to === '' || from === '' || isOrdered ? null : 'Must be after the begin'}
        isRequired
      />
    </FormDialog>
  );
};
