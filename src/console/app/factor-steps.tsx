import { Download, ShieldCheck } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { encode } from 'uqr';
import type { Answer } from '../../client/index.js';
import { Button, Copy, Problem, TextField } from '../ui/index.js';
import { api } from './api.js';
import { useStep } from './use-step.js';

/** A QR code as a picture of one path. Black on white in every theme: cameras expect it so. */
const QrCode = ({ text, label }: { readonly text: string; readonly label: string }): ReactNode => {
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

interface StepGiven<T> {
  readonly onDone: (done: T) => void;
  /** Told while a call is under way: what it answers comes once, so nobody should go away now. */
  readonly onBusy?: (isBusy: boolean) => void;
}

/**
 * Password, then the secret in an authenticator and a first code. `onDone` gets the recovery codes, which
 * are to be shown: from then on the second factor counts.
 */
export const SecondFactorSteps = ({ onDone, onBusy }: StepGiven<readonly string[]>): ReactNode => {
  const [begun, setBegun] = useState<Answer<'account.begin_factor'> | null>(null);
  const busy = onBusy === undefined ? {} : { onBusy };
  if (begun === null) return <PasswordStep onDone={setBegun} {...busy} />;
  return <ConfirmStep begun={begun} onDone={onDone} {...busy} />;
};

/** Codes to take along: to copy, and as a file. */
export const CodesToKeep = ({ codes }: { readonly codes: readonly string[] }): ReactNode => {
  const text = codes.join('\n');
  return (
    <>
      <Copy text={text} label="the recovery codes" />
      <a
        className="button button-plain"
        href={`data:text/plain;charset=utf-8,${encodeURIComponent(`${text}\n`)}`}
        download="bellwether-recovery-codes.txt"
      >
        <Download aria-hidden />
        Save as a file
      </a>
    </>
  );
};

const PasswordStep = ({ onDone, onBusy }: StepGiven<Answer<'account.begin_factor'>>): ReactNode => {
  const [password, setPassword] = useState('');
  const { isBusy, error, take } = useStep();
  useEffect(() => onBusy?.(isBusy), [isBusy]);
  const begin = take(async () =>
    onDone(await api.call('account.begin_factor', { body: { password } })),
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
  onDone,
  onBusy,
}: StepGiven<readonly string[]> & {
  readonly begun: Answer<'account.begin_factor'>;
}): ReactNode => {
  const [code, setCode] = useState('');
  const { isBusy, error, take } = useStep();
  useEffect(() => onBusy?.(isBusy), [isBusy]);
  const confirm = take(async () => {
    const { recovery_codes: codes } = await api.call('account.confirm_factor', { body: { code } });
    onDone(codes);
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
