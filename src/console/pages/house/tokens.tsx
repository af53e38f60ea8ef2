import { EllipsisVertical, KeyRound, Plus } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useCall, useList } from '../../app/api.js';
import { useGroups } from '../../app/session.js';
import {
  Button,
  type Column,
  Confirm,
  Empty,
  FormDialog,
  IconButton,
  Menu,
  problemAt,
  say,
  ShownOnce,
  Table,
  TextField,
  Time,
} from '../../ui/index.js';
import { CreateToken } from './token-create.js';
import { useTexts } from './use-form.js';

type Token = Answer<'tokens.list'>['items'][number];
interface Asking {
  readonly token: Token;
  readonly deed: 'rotate' | 'revoke';
}

/** Credentials of machines. */
export const Tokens = (): ReactNode => {
  const list = useList('tokens.list', { query: { limit: 100 } });
  const revoke = useCall('tokens.revoke', { stale: ['audit'] });
  const [isMaking, setMaking] = useState(false);
  const [asking, setAsking] = useState<Asking | null>(null);
  const columns = useColumns(setAsking);
  const button = (
    <Button kind="primary" icon={<Plus aria-hidden />} onPress={() => setMaking(true)}>
      New token
    </Button>
  );
  return (
    <div className="stack">
      <div className="row row-between row-wrap">
        <p className="soft">
          For machines: pipelines, SIEMs, scripts. A token ends with whoever made it, and after a
          year at most.
        </p>
        {list.items.length === 0 ? null : button}
      </div>
      <Table
        label="API tokens"
        list={list}
        keyOf={({ id }) => id}
        columns={columns}
        empty={
          <Empty icon={<KeyRound aria-hidden />} title="No API token" action={button}>
            Give each machine a token of its own, which can do what it needs and nothing more.
          </Empty>
        }
      />
      {isMaking ? <CreateToken onClose={() => setMaking(false)} /> : null}
      {asking?.deed === 'rotate' ? (
        <Rotate token={asking.token} onClose={() => setAsking(null)} />
      ) : null}
      {asking?.deed === 'revoke' ? (
        <Confirm
          title={`Revoke ${asking.token.name}?`}
          consequences={[
            'Whatever uses it is refused at once, and open streams end within seconds.',
            'When it is used again, a critical event says so.',
          ]}
          verb="Revoke for good"
          danger
          tick="I know that this cannot be taken back"
          run={async () => {
            await revoke.run({ params: { id: asking.token.id } });
            say('The token is revoked.');
          }}
          onClose={() => setAsking(null)}
        />
      ) : null}
    </div>
  );
};

const Rotate = ({
  token,
  onClose,
}: {
  readonly token: Token;
  readonly onClose: () => void;
}): ReactNode => {
  const { texts, set } = useTexts({ days: '90', grace: '15' });
  const [secret, setSecret] = useState<string | null>(null);
  const rotate = useCall('tokens.rotate', { stale: ['audit'] });
  if (secret !== null)
    return (
      <ShownOnce title="The new token" text={secret} label="the token" onClose={onClose}>
        It can do the same as <bdi>{token.name}</bdi> could. Put it in place now: the old one ends
        {texts.grace === '0' ? ' at once' : ` in ${texts.grace} minutes`}.
      </ShownOnce>
    );
  return (
    <FormDialog
      title={`Rotate ${token.name}`}
      verb="Make a new one"
      isBusy={rotate.isRunning}
      error={rotate.error}
      onSubmit={async () => {
        const body = { expires_in_days: Number(texts.days), grace_minutes: Number(texts.grace) };
        setSecret((await rotate.run({ params: { id: token.id }, body })).secret);
      }}
      onClose={onClose}
    >
      <TextField
        label="The new one works for (days)"
        hint="365 at most."
        value={texts.days}
        onChange={set('days')}
        inputMode="numeric"
        isRequired
        error={problemAt(rotate.error, 'body.expires_in_days')}
      />
      <TextField
        label="The old one works on for (minutes)"
        hint="60 at most; 0: it ends at once."
        value={texts.grace}
        onChange={set('grace')}
        inputMode="numeric"
        isRequired
        error={problemAt(rotate.error, 'body.grace_minutes')}
      />
    </FormDialog>
  );
};

function useColumns(ask: (asking: Asking) => void): readonly Column<Token>[] {
  const { nameOf } = useGroups();
  return useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(170px, 1.5fr)',
        cell: ({ name }) => (
          <bdi title={name} className="fill">
            {name}
          </bdi>
        ),
      },
      {
        id: 'may',
        title: 'May',
        width: 'minmax(200px, 2fr)',
        cell: ({ role, permissions }) =>
          role === null ? (
            <span title={permissions?.join(', ')} className="fill">
              {permissions?.join(', ')}
            </span>
          ) : (
            role.replace('_', ' ')
          ),
      },
      {
        id: 'group',
        title: 'On',
        width: 'minmax(120px, 1fr)',
        cell: ({ group_id: id }) => (id === null ? 'everything' : <bdi>{nameOf(id)}</bdi>),
      },
      {
        id: 'used',
        title: 'Last used',
        width: 'minmax(210px, 1fr)',
        cell: ({ last_used_at: at, last_used_from: from }) => (
          <>
            <Time at={at} /> {from === null ? null : <code className="soft">{from}</code>}
          </>
        ),
      },
      { id: 'made', title: 'Made', width: '140px', cell: ({ created_at: at }) => <Time at={at} /> },
      { id: 'ends', title: 'Ends', width: '130px', cell: ({ expires_at: at }) => <Time at={at} /> },
      {
        id: 'more',
        title: '',
        width: '60px',
        cell: (token) => (
          <Menu
            label={`What to do with ${token.name}`}
            choices={[
              { id: 'rotate', label: 'Rotate…', run: () => ask({ token, deed: 'rotate' }) },
              {
                id: 'revoke',
                label: 'Revoke…',
                danger: true,
                run: () => ask({ token, deed: 'revoke' }),
              },
            ]}
          >
            <IconButton label={`More about ${token.name}`}>
              <EllipsisVertical aria-hidden />
            </IconButton>
          </Menu>
        ),
      },
    ],
    [nameOf, ask],
  );
}
