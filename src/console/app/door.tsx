import { useQueryClient } from '@tanstack/react-query';
import { KeyRound, LogIn } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { ApiProblem, type Answer } from '../../client/index.js';
import { Button, Problem, TextField } from '../ui/index.js';
import { Navigate } from 'react-router';
import { api, keyOf, useApi } from './api.js';
import { csrf } from './csrf.js';
import { useStep } from './use-step.js';

/** The frame of all pages before the sign-in. */
export const Door = ({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ReactNode;
}): ReactNode => (
  <main className="door">
    <div className="door-card stack">
      <div className="row">
        <img src="/icon.svg" alt="" width={34} height={34} />
        <strong>Bellwether</strong>
      </div>
      <h1>{title}</h1>
      {children}
    </div>
  </main>
);

/** Takes over a session that was just made. */
export function useEnter(): (signedIn: Answer<'session.sign_in'>) => void {
  const client = useQueryClient();
  return ({ token, ...me }) => {
    if (token !== null) throw new Error('a browser has no use for a token');
    csrf.value = me.csrf;
    client.setQueryData(keyOf('session.show'), me);
  };
}

/** To the provider and back: a page of its own, so a link and no call. */
const SingleSignOn = (): ReactNode => (
  <div className="stack">
    <div className="door-or">or</div>
    <a
      className="button button-plain"
      href={api.addressOf('sso.start', {}).pathname}
      rel="external"
    >
      <KeyRound aria-hidden />
      Single sign-on
    </a>
  </div>
);

/** Password, and a code for those who have a second factor. */
export const SignIn = (): ReactNode => {
  const enter = useEnter();
  const doors = useApi('session.doors', {});
  const [login, setLogin] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState<string | null>(null);
  const { isBusy, error, take } = useStep();
  const submit = take(async () => {
    try {
      const body = { login, password, ...(code === null ? {} : { code }) };
      enter(await api.call('session.sign_in', { body }));
    } catch (reason) {
      const needsCode = reason instanceof ApiProblem && reason.code === 'second_factor_required';
      if (!needsCode || code !== null) throw reason;
      setCode('');
    }
  });
  if (doors.data?.needs_setup === true) return <Navigate to="/setup" replace />;
  return (
    <Door title="Sign in">
      <form className="stack" onSubmit={submit}>
        <TextField
          label="Login"
          value={login}
          onChange={setLogin}
          autoComplete="username"
          autoFocus
          isRequired
        />
        <TextField
          label="Password"
          type="password"
          value={password}
          onChange={setPassword}
          autoComplete="current-password"
          isRequired
        />
        {code === null ? null : (
          <TextField
            label="Code"
            hint="Six digits of your authenticator, or a recovery code"
            value={code}
            onChange={setCode}
            autoComplete="one-time-code"
            autoFocus
            isRequired
          />
        )}
        {error === null ? null : <Problem error={error} />}
        <Button type="submit" kind="primary" isBusy={isBusy} icon={<LogIn aria-hidden />}>
          Sign in
        </Button>
      </form>
      {doors.data?.sso === true ? <SingleSignOn /> : null}
    </Door>
  );
};
