import { useQueryClient } from '@tanstack/react-query';
import { Download, Smartphone } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { refresh, useCall } from '../../app/api.js';
import { useMe } from '../../app/session.js';
import {
  Badge,
  Button,
  Card,
  Copy,
  counted,
  Dialog,
  Note,
  problemAt,
  say,
  TextField,
} from '../../ui/index.js';
import { FormDialog } from './form-dialog.js';
import { useTexts } from './use-form.js';

/** Fewer than this: time to make new ones. */
const CODES_FEW = 4;

/** Codes of an authenticator, besides the password. */
export const SecondFactor = (): ReactNode => {
  const { user } = useMe();
  const [task, setTask] = useState<'add' | 'remove' | null>(null);
  const has = user.has_second_factor;
  return (
    <Card
      title="Second factor"
      actions={<Badge tone={has ? 'good' : 'warn'}>{has ? 'on' : 'off'}</Badge>}
    >
      <div className="stack">
        <p>
          {has
            ? `Signing in asks for a code of your authenticator. ${counted(user.recovery_codes_left, 'recovery code')} left.`
            : 'With it, a stolen password alone lets nobody in: signing in also asks for a code of an authenticator program.'}
        </p>
        {has && user.recovery_codes_left < CODES_FEW ? (
          <Note tone="warn">
            Few recovery codes are left. Remove the second factor and set it up again to get new
            ones.
          </Note>
        ) : null}
        <div className="row">
          {has ? (
            <Button onPress={() => setTask('remove')}>Remove</Button>
          ) : (
            <Button kind="primary" icon={<Smartphone aria-hidden />} onPress={() => setTask('add')}>
              Set up
            </Button>
          )}
        </div>
      </div>
      {task === 'add' ? <AddFactor onClose={() => setTask(null)} /> : null}
      {task === 'remove' ? <RemoveFactor onClose={() => setTask(null)} /> : null}
    </Card>
  );
};

/** Password, then the secret and a first code, then the recovery codes: each once. */
const AddFactor = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const client = useQueryClient();
  const begin = useCall('account.begin_factor');
  const confirm = useCall('account.confirm_factor');
  const { texts, set } = useTexts({ password: '', code: '' });
  const [begun, setBegun] = useState<Answer<'account.begin_factor'> | null>(null);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  if (codes !== null)
    return (
      <RecoveryCodes
        codes={codes}
        onClose={() => {
          refresh(client, 'session');
          onClose();
        }}
      />
    );
  if (begun === null)
    return (
      <FormDialog
        title="Set up a second factor"
        verb="Go on"
        isBusy={begin.isRunning}
        error={begin.error}
        onSubmit={async () => setBegun(await begin.run({ body: { password: texts.password } }))}
        onClose={onClose}
      >
        <TextField
          label="Your password"
          type="password"
          autoComplete="current-password"
          value={texts.password}
          onChange={set('password')}
          isRequired
          autoFocus
        />
      </FormDialog>
    );
  return (
    <FormDialog
      title="Set up a second factor"
      verb="Confirm"
      isBusy={confirm.isRunning}
      error={confirm.error}
      onSubmit={async () =>
        setCodes((await confirm.run({ body: { code: texts.code } })).recovery_codes)
      }
      onClose={onClose}
    >
      <p>Add this account in your authenticator program, then type the six digits that it shows.</p>
      {/* The slot of the QR code of `begun.uri`. */}
      <div className="stack-tight">
        <span className="field-label">The secret, to type in by hand</span>
        <Copy text={begun.secret} label="the secret" />
      </div>
      <div className="stack-tight">
        <span className="field-label">The same as an address, for programs on this machine</span>
        <Copy text={begun.uri} label="the address" />
      </div>
      <TextField
        label="Code"
        hint="Six digits."
        value={texts.code}
        onChange={set('code')}
        autoComplete="one-time-code"
        inputMode="numeric"
        isRequired
        error={problemAt(confirm.error, 'body.code')}
      />
    </FormDialog>
  );
};

const RecoveryCodes = ({
  codes,
  onClose,
}: {
  readonly codes: readonly string[];
  readonly onClose: () => void;
}): ReactNode => {
  const text = codes.join('\n');
  return (
    <Dialog title="Recovery codes, shown once" isOpen onClose={onClose}>
      <p>
        The second factor counts from now on. Each of these codes lets you in once when you lose
        your device. Keep them where the device is not.
      </p>
      <Copy text={text} label="the recovery codes" />
      <div className="row row-end row-wrap">
        <a
          className="button button-plain"
          href={`data:text/plain;charset=utf-8,${encodeURIComponent(`${text}\n`)}`}
          download="bellwether-recovery-codes.txt"
        >
          <Download aria-hidden />
          Save as a file
        </a>
        <Button kind="primary" onPress={onClose}>
          I have them
        </Button>
      </div>
    </Dialog>
  );
};

const RemoveFactor = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const client = useQueryClient();
  const remove = useCall('account.remove_factor');
  const { texts, set } = useTexts({ password: '', code: '' });
  return (
    <FormDialog
      title="Remove the second factor"
      verb="Remove"
      isBusy={remove.isRunning}
      error={remove.error}
      onSubmit={async () => {
        await remove.run({ body: texts });
        refresh(client, 'session');
        say('The second factor is removed.');
        onClose();
      }}
      onClose={onClose}
    >
      <p>The password alone lets in from then on, and the recovery codes are worth nothing.</p>
      <TextField
        label="Your password"
        type="password"
        autoComplete="current-password"
        value={texts.password}
        onChange={set('password')}
        isRequired
        autoFocus
      />
      <TextField
        label="A last code"
        hint="Of the authenticator, or a recovery code."
        value={texts.code}
        onChange={set('code')}
        autoComplete="one-time-code"
        isRequired
        error={problemAt(remove.error, 'body.code')}
      />
    </FormDialog>
  );
};
