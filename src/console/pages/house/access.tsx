import type { ReactNode } from 'react';
import { useCan } from '../../app/session.js';
import '../../style/evidence.css';
import { Page, Tabs } from '../../ui/index.js';
import { Invitations } from './invitations.js';
import { Members } from './members.js';
import { People } from './people.js';
import { Roles } from './roles.js';
import { Tokens } from './tokens.js';

export default function Access(): ReactNode {
  const can = useCan();
  const tabs = [
    ...(can('user.manage') ? [{ id: 'people', title: 'People', content: () => <People /> }] : []),
    ...(can('member.manage')
      ? [
          { id: 'members', title: 'Members by group', content: () => <Members /> },
          { id: 'invitations', title: 'Invitations', content: () => <Invitations /> },
        ]
      : []),
    ...(can('token.manage')
      ? [{ id: 'tokens', title: 'API tokens', content: () => <Tokens /> }]
      : []),
    { id: 'roles', title: 'Roles and single sign-on', content: () => <Roles /> },
  ];
  return (
    <Page title="Access">
      <Tabs label="Parts of this page" tabs={tabs} />
    </Page>
  );
}
