import { useQueryClient } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { keyOf, useCall } from '../../app/api.js';
import { csrf } from '../../app/csrf.js';
import { useGroups, useMe } from '../../app/session.js';
import {
  Button,
  Card,
  exactly,
  Facts,
  Note,
  Problem,
  problemAt,
  say,
  TextField,
} from '../../ui/index.js';
import { SecondFactor } from './second-factor.js';
import { OwnSessions } from './sessions.js';
import { useTexts } from './use-form.js';

/** Who one is here, and how that is kept safe. */
export const Account = (): ReactNode => {
  const me = useMe();
  return (
    <div className="stack">
      <div className="grid-cards">
        <WhoCard />
        {me.user.has_password ? <PasswordCard /> : <SsoCard />}
        {me.user.has_password ? <SecondFactor /> : null}
      </div>
      <OwnSessions />
    </div>
  );
};

const WhoCard = (): ReactNode => {
  const me = useMe();
  const { nameOf } = useGroups();
  return (
    <Card title="You">
      <div className="stack">
        <Facts
          items={[
            ['Name', <bdi key="name">{me.user.name}</bdi>],
            ['Login', <code key="login">{me.user.login}</code>],
            [
              'Roles',
              me.grants.length === 0 ? (
                <span className="soft">none yet</span>
              ) : (
                <ul key="roles" className="stack-tight">
                  {me.grants.map(({ role, group_id: group }) => (
                    <li key={`${role} ${group ?? ''}`}>
                      {role.replace('_', ' ')}
                      {group === null ? null : (
                        <>
                          {' '}
                          on <bdi>{nameOf(group)}</bdi>
                        </>
                      )}
                    </li>
                  ))}
                </ul>
              ),
            ],
            ['Ends', me.user.expires_at === null ? 'never' : exactly(me.user.expires_at)],
          ]}
        />
        <p className="soft small">
          Names and roles are changed by admins, under Access: what stands in the audit log must not
          change by itself.
        </p>
      </div>
    </Card>
  );
};

const SsoCard = (): ReactNode => (
  <Card title="Password and second factor">
    <Note>
      You sign in at the OpenID provider of your organisation; both are looked after there.
    </Note>
  </Card>
);

const EMPTY = { current: '', next: '', again: '' };

const PasswordCard = (): ReactNode => {
  const client = useQueryClient();
  const { texts, set } = useTexts(EMPTY);
  const change = useCall('account.password', { stale: ['sessions', 'audit'] });
  const isOther = texts.again !== '' && texts.again !== texts.next;
  const clear = (): void => {
    for (const key of ['current', 'next', 'again'] as const) set(key)('');
  };
  const submit = (): void => {
    if (texts.again !== texts.next) return;
    change.run({ body: { current: texts.current, new: texts.next } }).then(
      (signedIn) => {
        // The session goes on under a new cookie, and with a new token against forged requests.
        csrf.value = signedIn.csrf;
        client.setQueryData(keyOf('session.show'), signedIn);
        clear();
        say('The password is changed. Every other session of yours has ended.');
      },
      () => undefined,
    );
  };
  return (
    <Card title="Password">
      <form
        className="stack"
        aria-label="Change the password"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <TextField
          label="Password now"
          type="password"
          autoComplete="current-password"
          value={texts.current}
          onChange={set('current')}
          isRequired
        />
        <TextField
          label="New password"
          type="password"
          autoComplete="new-password"
          hint="12 characters or more; several words are easy to keep in mind."
          value={texts.next}
          onChange={set('next')}
          isRequired
          error={problemAt(change.error, 'body.new')}
        />
        <TextField
          label="New password, again"
          type="password"
          autoComplete="new-password"
          value={texts.again}
          onChange={set('again')}
          isRequired
          error={isOther ? 'This is not the same.' : null}
        />
        {change.error === null ? null : <Problem error={change.error} />}
        <div className="row">
          <Button type="submit" kind="primary" isBusy={change.isRunning} isDisabled={isOther}>
            Change the password
          </Button>
        </div>
      </form>
    </Card>
  );
};
