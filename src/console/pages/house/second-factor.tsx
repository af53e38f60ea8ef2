import { useQueryClient } from '@tanstack/react-query';
import { Smartphone } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { refresh, useCall } from '../../app/api.js';
import { CodesToKeep, SecondFactorSteps } from '../../app/factor-steps.js';
import { useMe } from '../../app/session.js';
import {
  Badge,
  Button,
  Card,
  counted,
  Dialog,
  FormDialog,
  Note,
  problemAt,
  say,
  TextField,
} from '../../ui/index.js';
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

const AddFactor = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const client = useQueryClient();
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const [isBusy, setBusy] = useState(false);
  if (codes === null)
    return (
      <Dialog title="Set up a second factor" isOpen onClose={onClose} isBusy={isBusy}>
        <SecondFactorSteps onDone={setCodes} onBusy={setBusy} />
      </Dialog>
    );
  const close = (): void => {
    refresh(client, 'session');
    onClose();
  };
  return (
    <Dialog title="Recovery codes, shown once" isOpen onClose={close}>
      <p>
        The second factor counts from now on. Each of these codes lets you in once when you lose
        your device. Keep them where the device is not.
      </p>
      <CodesToKeep codes={codes} />
      <div className="row row-end">
        <Button kind="primary" onPress={close}>
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
