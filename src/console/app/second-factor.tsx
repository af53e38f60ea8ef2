import { useQueryClient } from '@tanstack/react-query';
import { LogOut } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { Button, Checkbox } from '../ui/index.js';
import { refresh } from './api.js';
import { Door } from './door.js';
import { CodesToKeep, SecondFactorSteps } from './factor-steps.js';
import { useSignOut, type Me } from './session.js';

/** Who must have a second factor and has none can do nothing else. */
export default function FactorDoor({ me }: { readonly me: Me }): ReactNode {
  const client = useQueryClient();
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const signOut = useSignOut();
  return (
    <Door title="Set up a second factor">
      <p className="soft">
        <bdi>{me.user.name}</bdi>, this manager asks everybody for a second factor. It takes a
        minute, and happens once.
      </p>
      {codes === null ? (
        <SecondFactorSteps onDone={setCodes} />
      ) : (
        <RecoveryCodes codes={codes} onDone={() => refresh(client, 'session')} />
      )}
      <Button kind="quiet" icon={<LogOut aria-hidden />} onPress={() => void signOut()}>
        Sign out
      </Button>
    </Door>
  );
}

const RecoveryCodes = ({
  codes,
  onDone,
}: {
  readonly codes: readonly string[];
  readonly onDone: () => void;
}): ReactNode => {
  const [isKept, setKept] = useState(false);
  return (
    <div className="stack">
      <p>
        Keep these recovery codes where you find them without your phone. Each lets you in once;
        they are not shown again.
      </p>
      <CodesToKeep codes={codes} />
      <Checkbox isSelected={isKept} onChange={setKept}>
        I have kept them
      </Checkbox>
      <Button kind="primary" isDisabled={!isKept} onPress={onDone}>
        Go on
      </Button>
    </div>
  );
};
