import { DoorOpen } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Link, useNavigate } from 'react-router';
import { Button, ButtonLink, Problem } from '../ui/index.js';
import { api } from './api.js';
import { Door, useEnter } from './door.js';
import { NewcomerFields, NOBODY } from './newcomer.js';
import { takeSecret, useSecret } from './secret.js';
import { useStep } from './use-step.js';

// Taken when the file is loaded: React may ask for the first state of a page twice.
const first = takeSecret();

/** Where the link of an invitation leads: it makes one user, once. */
export default function InvitationPage(): ReactNode {
  const secret = useSecret(first);
  const enter = useEnter();
  const navigate = useNavigate();
  const [person, setPerson] = useState(NOBODY);
  const { isBusy, error, take } = useStep();
  const submit = take(async () => {
    enter(await api.call('invitations.accept', { body: { secret, ...person } }));
    void navigate('/', { replace: true });
  });
  if (secret === '')
    return (
      <Door title="This link is not whole">
        <p>
          An invitation has a long secret behind <code>#</code>. Copy the whole link from the
          message that you got, or ask for a new one.
        </p>
        <ButtonLink to="/">To the sign-in</ButtonLink>
      </Door>
    );
  return (
    <Door title="You are invited">
      <p className="soft">
        Choose how you sign in. The link works once; whoever sent it decided what you may do.
      </p>
      <form className="stack" onSubmit={submit}>
        <NewcomerFields person={person} onChange={setPerson} error={error} />
        {error === null ? null : <Problem error={error} />}
        <Button type="submit" kind="primary" isBusy={isBusy} icon={<DoorOpen aria-hidden />}>
          Come in
        </Button>
      </form>
      <p className="soft small">
        You have a user already? <Link to="/">Sign in</Link>
      </p>
    </Door>
  );
}
