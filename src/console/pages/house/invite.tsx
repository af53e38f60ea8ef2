import { useState, type ReactNode } from 'react';
import type { Answer } from '../../../client/index.js';
import { useCall } from '../../app/api.js';
import { useCan, useGroups, useMe } from '../../app/session.js';
import { exactly, FormDialog, problemAt, Select, ShownOnce, TextField } from '../../ui/index.js';
import { ROLE_CHOICES, type GroupRole } from './role-words.js';
import { daysOf, useTexts } from './use-form.js';

const SUPER = 'super';

/** Asks for whom and what, and shows the link once. */
export const Invite = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const me = useMe();
  const can = useCan();
  const { groups } = useGroups();
  const isSuper = me.grants.some(({ role }) => role === 'super_admin');
  const { texts, set } = useTexts({ note: '', days: '', hours: '72' });
  const [where, setWhere] = useState<string | null>(null);
  const [role, setRole] = useState<GroupRole>('viewer');
  const [made, setMade] = useState<Answer<'invitations.create'> | null>(null);
  const invite = useCall('invitations.create', { stale: ['audit'] });
  const submit = async (): Promise<void> => {
    const what =
      where === SUPER
        ? { super_admin: true }
        : { group_id: where, role: where === null ? null : role };
    const body = {
      note: texts.note,
      user_expires_in_days: daysOf(texts.days),
      expires_in_hours: Number(texts.hours),
      ...what,
    };
    setMade(await invite.run({ body }));
  };
  if (made !== null)
    return (
      <ShownOnce title="The invitation" text={made.link} label="the link" onClose={onClose}>
        Send this link to <bdi>{made.note}</bdi>. It makes one user, once, until{' '}
        {exactly(made.expires_at).split(' (')[0]}.
      </ShownOnce>
    );
  return (
    <FormDialog
      title="Invite somebody"
      verb="Make the link"
      isBusy={invite.isRunning}
      error={invite.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField
        label="For whom"
        hint="So that invitations can be told apart; the person chooses the own name."
        value={texts.note}
        onChange={set('note')}
        maxLength={128}
        isRequired
        autoFocus
        error={problemAt(invite.error, 'body.note')}
      />
      <Select
        label="May act on"
        value={where}
        onChange={setWhere}
        placeholder="Choose a group"
        choices={[
          ...(isSuper ? [{ value: SUPER, label: 'Everything, as super admin' }] : []),
          ...groups
            .filter(({ id }) => can('member.manage', id))
            .map(({ id, name }) => ({ value: id, label: name, hint: 'And all groups below' })),
        ]}
        error={problemAt(invite.error, 'body.group_id')}
      />
      {where === null || where === SUPER ? null : (
        <Select label="As" value={role} onChange={setRole} choices={ROLE_CHOICES} />
      )}
      <TextField
        label="The link works for (hours)"
        value={texts.hours}
        onChange={set('hours')}
        inputMode="numeric"
        hint="336 at most."
        error={problemAt(invite.error, 'body.expires_in_hours')}
        isRequired
      />
      <TextField
        label="The user ends after (days)"
        hint="Empty: for good."
        value={texts.days}
        onChange={set('days')}
        inputMode="numeric"
        error={problemAt(invite.error, 'body.user_expires_in_days')}
      />
    </FormDialog>
  );
};
