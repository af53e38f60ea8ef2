import type { Answer } from '../../protocol/api/index.js';
import type { Command } from '../command.js';
import {
  connect,
  LIST_OPTIONS,
  MANAGER_OPTIONS,
  OUTPUT_OPTION,
  show,
  showList,
} from '../connection.js';
import { type Column, facts } from '../output/index.js';
import { oneOf, present, whole } from '../values.js';

type User = Answer<'users.list'>['items'][number];
type Invitation = Answer<'invitations.list'>['items'][number];

const Role = oneOf(['viewer', 'operator', 'admin']);
const Days = whole(1, 3_650);

const COLUMNS: readonly Column<User>[] = [
  ['id', (user) => user.id],
  ['login', (user) => user.login],
  ['name', (user) => user.name],
  ['status', (user) => user.status, 'state'],
  ['super admin', (user) => (user.super_admin ? 'yes' : '')],
  ['signs in', (user) => user.kind],
  ['2nd factor', (user) => (user.has_second_factor ? 'yes' : 'no')],
  ['last sign-in', (user) => user.last_sign_in_at, 'time'],
  ['expires', (user) => user.expires_at, 'wide-time'],
];

export const listUsers: Command = {
  name: 'users list',
  summary: 'users, newest first',
  operands: [],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (query) => client.call('users.list', { query }),
      columns: COLUMNS,
      whenEmpty: 'no users',
    });
  },
};

export const showUser: Command = {
  name: 'users show',
  summary: 'one user with his roles',
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS, ...OUTPUT_OPTION },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    const user = await client.call('users.show', { params: { id: given.operand(0) } });
    show(given, terminal, user, ({ members, ...rest }) =>
      facts([
        ['login', rest.login],
        ['name', rest.name],
        ['status', rest.status],
        ['super admin', rest.super_admin ? 'yes' : 'no'],
        ['until', rest.expires_at],
        ...members.map(({ role, group_id: group, source }): [string, string] => [
          'role',
          `${role} on ${group} (${source})`,
        ]),
      ]),
    );
  },
};

export const inviteUser: Command = {
  name: 'users invite',
  summary: 'invite somebody: a link that makes one user, once',
  operands: ['NOTE'],
  options: {
    group: { value: 'ID', help: 'group that he gets a role on' },
    role: { value: 'ROLE', help: 'viewer, operator or admin' },
    'super-admin': { help: 'he administers everything' },
    hours: { value: 'N', help: 'how long the link works (default 72)' },
    'user-days': { value: 'N', help: 'how long the user works (default: for good)' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const body = {
      note: given.operand(0),
      super_admin: given.isSet('super-admin'),
      ...present({
        group_id: given.optional('group'),
        role: given.read('role', Role),
        expires_in_hours: given.read('hours', whole(1, 336)),
        user_expires_in_days: given.read('user-days', Days),
      }),
    };
    const client = await connect(given, terminal);
    const made = await client.call('invitations.create', { body });
    show(given, terminal, made, ({ link, expires_at: until }) =>
      facts([
        ['link', link],
        ['until', until],
      ]),
    );
    terminal.err('hand it to him alone: whoever has the link is the user\n');
  },
};

const INVITATION_COLUMNS: readonly Column<Invitation>[] = [
  ['id', (each) => each.id],
  ['note', (each) => each.note],
  ['role', (each) => each.role],
  ['group', (each) => each.group_id],
  ['super admin', (each) => (each.super_admin ? 'yes' : '')],
  ['expires', (each) => each.expires_at, 'time'],
];

export const listInvitations: Command = {
  name: 'invitations list',
  summary: 'open invitations',
  operands: [],
  options: { ...LIST_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await showList(given, terminal, {
      page: (query) => client.call('invitations.list', { query }),
      columns: INVITATION_COLUMNS,
      whenEmpty: 'no open invitations',
    });
  },
};

/** Commands that do one thing to one id and say so. */
const verb = (
  name: string,
  summary: string,
  done: string,
  route:
    | 'users.disable'
    | 'users.enable'
    | 'users.sign_out'
    | 'users.reset_factor'
    | 'invitations.revoke',
): Command => ({
  name,
  summary,
  operands: ['ID'],
  options: { ...MANAGER_OPTIONS },
  run: async (given, terminal) => {
    const client = await connect(given, terminal);
    await client.call(route, { params: { id: given.operand(0) } });
    terminal.out(`${done} ${given.operand(0)}\n`);
  },
});

export const disableUser = verb(
  'users disable',
  'let a user in no more; his sessions end',
  'disabled',
  'users.disable',
);
export const enableUser = verb('users enable', 'let a user in again', 'enabled', 'users.enable');
export const signOutUser = verb(
  'users sign-out',
  'end every session of a user',
  'signed out',
  'users.sign_out',
);
export const resetFactor = verb(
  'users reset-factor',
  'take the second factor of a user away who lost it',
  'took the second factor away of',
  'users.reset_factor',
);
export const revokeInvitation = verb(
  'invitations revoke',
  'take an invitation back',
  'revoked',
  'invitations.revoke',
);

export const changeUser: Command = {
  name: 'users change',
  summary: 'display name, platform role or expiry of a user',
  operands: ['ID'],
  options: {
    name: { value: 'NAME', help: 'display name' },
    'super-admin': { value: 'yes|no', help: 'whether he administers everything' },
    'expires-days': { value: 'N|never', help: 'how long the user works from now on' },
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  run: async (given, terminal) => {
    const admin = given.read('super-admin', oneOf(['yes', 'no']));
    const isForGood = given.optional('expires-days') === 'never';
    const body = {
      ...present({
        name: given.optional('name'),
        super_admin: admin === undefined ? undefined : admin === 'yes',
        expires_in_days: isForGood ? undefined : given.read('expires-days', Days),
      }),
      ...(isForGood ? { expires_in_days: null } : {}),
    };
    const client = await connect(given, terminal);
    const params = { id: given.operand(0) };
    const user = await client.call('users.update', { params, body });
    show(given, terminal, user, ({ id }) => `changed ${id}\n`);
  },
};
