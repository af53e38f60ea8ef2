import { useState, type ReactNode } from 'react';
import { useCall } from '../../app/api.js';
import { useMe } from '../../app/session.js';
import { Button, Dialog, Problem, problemAt, say, TextField } from '../../ui/index.js';
import { consequencesOf, type Rollout } from './verbs.js';

/** As the manager takes them; see `BreakGlass` in the schemas of rollouts. */
const MINUTES_MAX = 240;
const REASON_MIN = 10;

/** The way past freezes, windows and missing approvals: by a person, with a reason, for a time. */
export const BreakGlass = ({
  rollout,
  onClose,
}: {
  readonly rollout: Rollout;
  readonly onClose: () => void;
}): ReactNode => {
  const [reason, setReason] = useState('');
  const [minutes, setMinutes] = useState('60');
  const [code, setCode] = useState('');
  const { user } = useMe();
  const call = useCall('rollouts.break_glass', { stale: ['needs', 'events', 'audit'] });
  const { title, consequences } = consequencesOf(rollout, 'break_glass');
  const time = Number(minutes);
  const isWhole = Number.isInteger(time) && time >= 1 && time <= MINUTES_MAX;
  const isReady =
    reason.trim().length >= REASON_MIN &&
    isWhole &&
    (code.trim() !== '' || !user.has_second_factor);
  const send = async (): Promise<void> => {
    const body = {
      reason: reason.trim(),
      minutes: time,
      ...(code.trim() === '' ? {} : { code: code.trim() }),
    };
    try {
      await call.run({ params: { id: rollout.id }, body });
      say('The glass is broken. It is in the audit log.');
      onClose();
    } catch {
      // Shown below, and the window stays.
    }
  };
  return (
    <Dialog title={title} isOpen onClose={onClose} isBusy={call.isRunning}>
      <ul className="stack-tight">
        {consequences.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      <TextField
        label="Reason"
        hint={`For those who read of it later; ${REASON_MIN} letters at least.`}
        value={reason}
        onChange={setReason}
        maxLength={500}
        error={problemAt(call.error, 'reason')}
        autoFocus
      />
      <TextField
        label="Minutes"
        hint={`1 to ${MINUTES_MAX}`}
        value={minutes}
        onChange={setMinutes}
        inputMode="numeric"
        error={isWhole ? problemAt(call.error, 'minutes') : `take 1 to ${MINUTES_MAX}`}
      />
      {user.has_second_factor ? (
        <TextField
          label="Code of your second factor"
          hint="A fresh one: the session alone is not enough for this."
          value={code}
          onChange={setCode}
          autoComplete="one-time-code"
          mono
          error={problemAt(call.error, 'code')}
        />
      ) : null}
      {call.error === null ? null : <Problem error={call.error} />}
      <div className="row row-end row-wrap">
        <Button onPress={onClose} isDisabled={call.isRunning}>
          Go back
        </Button>
        <Button
          kind="danger"
          isBusy={call.isRunning}
          isDisabled={!isReady}
          onPress={() => void send()}
        >
          Break glass
        </Button>
      </div>
    </Dialog>
  );
};
