/** Everything that is audited, in one place: a new action is a new line here. */
export const AUDIT_ACTIONS = [
  'setup.finish',
  'token.create',
  'token.revoke',
  'group.create',
  'enrollment_token.create',
  'node.enroll',
  'node.revoke',
  'release.publish',
  'node.upgrade.request',
  'group.upgrade.schedule',
  'group.upgrade.paused',
  'group.upgrade.complete',
  'rollout.pause',
  'rollout.resume',
  'rollout.cancel',
  'auth.refused',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];
