import { UserPlus } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { Link, useNavigate } from 'react-router';
import { Bones, Button, ButtonLink, Problem, TextField } from '../ui/index.js';
import { api, useApi } from './api.js';
import { Door, useEnter } from './door.js';
import { NewcomerFields, NOBODY } from './newcomer.js';
import { takeSecret, useSecret } from './secret.js';
import { useStep } from './use-step.js';

// Taken when the file is loaded: React may ask for the first state of a page twice.
const first = takeSecret();

/** The first page of a new manager: its set-up token makes the first user, who is then signed in. */
export default function SetupPage(): ReactNode {
  const doors = useApi('session.doors', {});
  if (doors.error !== null)
    return (
      <Door title="The manager does not answer">
        <Problem error={doors.error} again={() => void doors.refetch()} />
      </Door>
    );
  if (doors.data === undefined)
    return (
      <Door title="Set up this manager">
        <Bones lines={5} />
      </Door>
    );
  return doors.data.needs_setup ? <FirstUser /> : <Done />;
}

const Done = (): ReactNode => (
  <Door title="This manager is set up">
    <p>
      It has an admin already, so the set-up token is of no use any more. Sign in, or ask an admin
      for an invitation.
    </p>
    <ButtonLink to="/" kind="primary">
      To the console
    </ButtonLink>
  </Door>
);

const FirstUser = (): ReactNode => {
  const enter = useEnter();
  const navigate = useNavigate();
  const token = useSecret(first);
  const [typed, setTyped] = useState<string | null>(null);
  const given = typed ?? token;
  // A whole link is newer than what was typed.
  useEffect(() => setTyped(null), [token]);
  const [person, setPerson] = useState(NOBODY);
  const { isBusy, error, take } = useStep();
  const submit = take(async () => {
    const body = { setup_token: given.trim(), ...person };
    enter(await api.call('setup.first_user', { body }));
    void navigate('/enrollment?first=yes', { replace: true });
  });
  return (
    <Door title="Set up this manager">
      <p className="soft">
        Step 1 of 2: make the first user, who may do everything. Step 2 connects the first machine.
      </p>
      <form className="stack" onSubmit={submit}>
        <TextField
          label="Set-up token"
          hint="Printed when the manager started; it also lies in the file setup-token of its data directory"
          value={given}
          onChange={setTyped}
          autoComplete="off"
          autoFocus={token === ''}
          mono
          isRequired
        />
        <NewcomerFields person={person} onChange={setPerson} error={error} isFirst={token !== ''} />
        {error === null ? null : <Problem error={error} />}
        <Button type="submit" kind="primary" isBusy={isBusy} icon={<UserPlus aria-hidden />}>
          Make the first user
        </Button>
      </form>
      <p className="soft small">
        Set up already? <Link to="/">Sign in</Link>
      </p>
    </Door>
  );
};
