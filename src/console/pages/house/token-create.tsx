import { useState, type ReactNode } from 'react';
import {
  PERMISSIONS,
  WHOLE_PERMISSIONS,
  type Permission,
  type Role,
} from '../../../core/access/index.js';
import { useCall } from '../../app/api.js';
import { useCan, useGroups, useMe } from '../../app/session.js';
import {
  Checkbox,
  Choices,
  FormDialog,
  problemAt,
  Select,
  ShownOnce,
  TextField,
} from '../../ui/index.js';
import { PERMISSION_WORDS, ROLE_WORDS } from './role-words.js';
import { useTexts } from './use-form.js';

const EVERYWHERE = 'everywhere';
const PLATFORM: readonly Role[] = ['release', 'super_admin'];
const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', ...PLATFORM];

/** Asks what a token may do, and shows it once. */
export const CreateToken = ({ onClose }: { readonly onClose: () => void }): ReactNode => {
  const me = useMe();
  const can = useCan();
  const { groups } = useGroups();
  const isSuper = me.grants.some(({ role }) => role === 'super_admin');
  const { texts, set } = useTexts({ name: '', days: '90' });
  const [by, setBy] = useState<'permissions' | 'role'>('permissions');
  const [role, setRole] = useState<Role>('viewer');
  const [permissions, setPermissions] = useState<readonly Permission[]>([]);
  const [groupId, setGroupId] = useState(isSuper ? EVERYWHERE : '');
  const [secret, setSecret] = useState<string | null>(null);
  const create = useCall('tokens.create', { stale: ['audit'] });
  const isPlatform = by === 'role' && PLATFORM.includes(role);
  const group = isPlatform || groupId === EVERYWHERE ? null : groupId;
  const submit = async (): Promise<void> => {
    const body = {
      name: texts.name,
      expires_in_days: Number(texts.days),
      group_id: group,
      ...(by === 'role' ? { role } : { permissions: [...permissions] }),
    };
    setSecret((await create.run({ body })).secret);
  };
  if (secret !== null)
    return (
      <ShownOnce title="The token" text={secret} label="the token" onClose={onClose}>
        Put it where <bdi>{texts.name}</bdi> reads it, as a secret: whoever has it may do the same.
      </ShownOnce>
    );
  return (
    <FormDialog
      title="New API token"
      verb="Make the token"
      isBusy={create.isRunning}
      error={create.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField
        label="Name"
        hint="What uses it, such as “SIEM, Frankfurt”."
        value={texts.name}
        onChange={set('name')}
        maxLength={128}
        isRequired
        autoFocus
        error={problemAt(create.error, 'body.name')}
      />
      <Choices
        label="It may do"
        value={by}
        onChange={setBy}
        choices={[
          { value: 'permissions', label: 'What is ticked, and nothing else' },
          { value: 'role', label: 'What a role may' },
        ]}
      />
      {by === 'role' ? (
        <Select
          label="Role"
          value={role}
          onChange={setRole}
          choices={ROLES.map((value) => ({
            value,
            label: value.replace('_', ' '),
            hint: ROLE_WORDS[value],
          }))}
        />
      ) : (
        <PermissionTicks
          permissions={permissions}
          onChange={setPermissions}
          isEverywhere={group === null}
        />
      )}
      {isPlatform ? null : (
        <Select
          label="On"
          hint="And on all groups below."
          value={groupId === '' ? null : groupId}
          onChange={setGroupId}
          placeholder="Choose a group"
          choices={[
            ...(isSuper && by === 'permissions'
              ? [{ value: EVERYWHERE, label: 'Everything' }]
              : []),
            ...groups
              .filter(({ id }) => can('group.view', id))
              .map(({ id, name }) => ({ value: id, label: name })),
          ]}
          error={problemAt(create.error, 'body.group_id')}
        />
      )}
      <TextField
        label="Works for (days)"
        hint="365 at most."
        value={texts.days}
        onChange={set('days')}
        inputMode="numeric"
        isRequired
        error={problemAt(create.error, 'body.expires_in_days')}
      />
    </FormDialog>
  );
};

const PermissionTicks = ({
  permissions,
  onChange,
  isEverywhere,
}: {
  readonly permissions: readonly Permission[];
  readonly onChange: (permissions: readonly Permission[]) => void;
  readonly isEverywhere: boolean;
}): ReactNode => (
  <div className="field" role="group" aria-labelledby="token-permissions">
    <span className="field-label" id="token-permissions">
      Permissions
    </span>
    <div className="stack-tight">
      {PERMISSIONS.filter((one) => isEverywhere || !WHOLE_PERMISSIONS.includes(one)).map((one) => (
        <Checkbox
          key={one}
          isSelected={permissions.includes(one)}
          onChange={(isIn) =>
            onChange(isIn ? [...permissions, one] : permissions.filter((other) => other !== one))
          }
        >
          {PERMISSION_WORDS[one]} <code className="soft small">{one}</code>
        </Checkbox>
      ))}
    </div>
  </div>
);
