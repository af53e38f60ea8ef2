import { GROUP_ROLES, type Permission, type Role } from '../../../core/access/index.js';
import type { Choice } from '../../ui/index.js';

export type GroupRole = (typeof GROUP_ROLES)[number];

export const ROLE_WORDS: Readonly<Record<Role, string>> = {
  viewer: 'Sees nodes, rollouts and events',
  operator: 'Upgrades single nodes, and steers rollouts',
  admin: 'Leads rollouts, enrolls nodes, manages members and sinks',
  release: 'For pipelines: publishes and sees releases',
  super_admin: 'Everything, everywhere',
};

export const ROLE_CHOICES: readonly Choice<GroupRole>[] = GROUP_ROLES.map((value) => ({
  value,
  label: value,
  hint: ROLE_WORDS[value],
}));

export const PERMISSION_WORDS: Readonly<Record<Permission, string>> = {
  'token.manage': 'Make and revoke API tokens',
  'user.manage': 'Manage people: disable, sign out, platform role',
  'member.manage': 'Invite, and give roles on the group',
  'group.view': 'See the group',
  'group.manage': 'Make, rename, move and delete groups; freeze; resolve alerts',
  'quota.manage': 'Set how many nodes a group may hold',
  'node.view': 'See nodes',
  'node.enroll': 'Enroll, move and revoke nodes',
  'node.upgrade': 'Upgrade one node',
  'group.upgrade': 'Start a rollout over a group',
  'release.view': 'See releases',
  'release.publish': 'Publish, promote and yank releases',
  'rollout.view': 'See rollouts',
  'rollout.control': 'Pause, resume and cancel rollouts',
  'event.view': 'Read events',
  'sink.manage': 'Manage sinks of the group',
  'audit.view': 'Read and verify the audit log of the group',
  'metrics.view': 'Read the metrics of the installation',
};
