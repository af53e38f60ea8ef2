import { useQueryClient } from '@tanstack/react-query';
import { Download, LogOut, ShieldCheck } from 'lucide-react';
import { useState, type ReactNode, type SubmitEvent } from 'react';
import { encode } from 'uqr';
import type { Answer } from '../../client/index.js';
import { Button, Checkbox, Copy, Problem, TextField } from '../ui/index.js';
import { api, keyOf } from './api.js';
import { Door } from './door.js';
import { useSignOut, type Me } from './session.js';

/** A QR code as a picture of one path. Black on white in every theme: cameras expect it so. */
export const QrCode = ({
  text,
  label,
}: {
  readonly text: string;
  readonly label: string;
}): ReactNode => {
  const { data, size } = encode(text, { ecc: 'M', border: 4 });
  const path = data.flatMap((line, y) =>
    line.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')),
  );
  return (
    <svg
      className="qr"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} fill="#fff" />
      <path d={path.join('')} fill="#000" />
    </svg>
  );
};

/** Asks for what `run` needs, one thing at a time; what it throws is shown. */
function useStep(): {
  readonly isBusy: boolean;
  readonly error: Error | null;
  readonly take: (run: () => Promise<void>) => (event: SubmitEvent) => void;
} {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const go = async (run: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setError(null);
    await run().catch((reason: unknown) => setError(reason as Error));
    setBusy(false);
  };
  return {
    isBusy,
    error,
    take: (run) => (event) => {
      event.preventDefault();
      if (!isBusy) void go(run);
    },
  };
}

/**
 * Password, then the secret in an authenticator, then the recovery codes: a second factor is set up once all
 * three were gone through.
 */
export const SecondFactorSteps = ({ onDone }: { readonly onDone: () => void }): ReactNode => {
  const [begun, setBegun] = useState<Answer<'account.begin_factor'> | null>(null);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  if (codes !== null) return <RecoveryCodes codes={codes} onDone={onDone} />;
  if (begun !== null) return <ConfirmStep begun={begun} onConfirmed={setCodes} />;
  return <PasswordStep onBegun={setBegun} />;
};

const PasswordStep = ({
  onBegun,
}: {
  readonly onBegun: (begun: Answer<'account.begin_factor'>) => void;
}): ReactNode => {
  const [password, setPassword] = useState('');
  const { isBusy, error, take } = useStep();
  const begin = take(async () =>
    onBegun(await api.call('account.begin_factor', { body: { password } })),
  );
  return (
    <form className="stack" onSubmit={begin}>
      <TextField
        label="Your password"
        hint="Once more, since this changes how you sign in"
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="current-password"
        autoFocus
        isRequired
      />
      {error === null ? null : <Problem error={error} />}
      <Button type="submit" kind="primary" isBusy={isBusy}>
        Go on
      </Button>
    </form>
  );
};

const ConfirmStep = ({
  begun,
  onConfirmed,
}: {
  readonly begun: Answer<'account.begin_factor'>;
  readonly onConfirmed: (codes: readonly string[]) => void;
}): ReactNode => {
  const [code, setCode] = useState('');
  const { isBusy, error, take } = useStep();
  const confirm = take(async () => {
    const { recovery_codes: codes } = await api.call('account.confirm_factor', { body: { code } });
    onConfirmed(codes);
  });
  return (
    <form className="stack" onSubmit={confirm}>
      <p>Scan this with an authenticator program, then type the six digits that it shows.</p>
      <QrCode text={begun.uri} label="The secret for an authenticator; below it stands as text" />
      <Copy text={begun.secret} label="the secret" />
      <TextField
        label="Code"
        value={code}
        onChange={setCode}
        inputMode="numeric"
        autoComplete="one-time-code"
        autoFocus
        isRequired
      />
      {error === null ? null : <Problem error={error} />}
      <Button type="submit" kind="primary" isBusy={isBusy} icon={<ShieldCheck aria-hidden />}>
        Confirm
      </Button>
    </form>
  );
};

const RecoveryCodes = ({
  codes,
  onDone,
}: {
  readonly codes: readonly string[];
  readonly onDone: () => void;
}): ReactNode => {
  const [isKept, setKept] = useState(false);
  const text = codes.join('\n');
  return (
    <div className="stack">
      <p>
        Keep these recovery codes where you find them without your phone. Each lets you in once;
        they are not shown again.
      </p>
      <Copy text={text} label="the recovery codes" />
      <a
        className="button button-plain"
        href={`data:text/plain;charset=utf-8,${encodeURIComponent(`${text}\n`)}`}
        download="bellwether-recovery-codes.txt"
      >
        <Download aria-hidden />
        Save as a file
      </a>
      <Checkbox isSelected={isKept} onChange={setKept}>
        I have kept them
      </Checkbox>
      <Button kind="primary" isDisabled={!isKept} onPress={onDone}>
        Go on
      </Button>
    </div>
  );
};

/** Who must have a second factor and has none can do nothing else. */
export default function FactorDoor({ me }: { readonly me: Me }): ReactNode {
  const client = useQueryClient();
  const signOut = useSignOut();
  return (
    <Door title="Set up a second factor">
      <p className="soft">
        <bdi>{me.user.name}</bdi>, this manager asks everybody for a second factor. It takes a
        minute, and happens once.
      </p>
      <SecondFactorSteps
        onDone={() =>
          void client.invalidateQueries({ queryKey: keyOf('session.show').slice(0, 2) })
        }
      />
      <Button kind="quiet" icon={<LogOut aria-hidden />} onPress={() => void signOut()}>
        Sign out
      </Button>
    </Door>
  );
}
