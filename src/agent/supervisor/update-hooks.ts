import { z } from 'zod';

/** The moments of an upgrade at which a program of this machine may be asked. */
export const HOOK_NAMES = ['pre_stage', 'pre_swap', 'post_swap', 'pre_rollback'] as const;
export type HookName = (typeof HOOK_NAMES)[number];

/** Of one hook: what takes longer than five minutes is no question any more. */
const TIMEOUT_SECS_MAX = 300;
/** Before a rollback the service is sick: it does not wait long. */
const ROLLBACK_TIMEOUT_SECS_MAX = 60;
const TIMEOUT_SECS = 30;

const hook = (timeoutSecsMax: number) =>
  z.strictObject({
    /** An absolute path and its arguments; nothing goes through a shell. */
    command: z
      .array(z.string().max(4_096))
      .min(1)
      .max(64)
      .refine(([program = '']) => program.startsWith('/'), 'must begin with an absolute path'),
    timeout_secs: z.number().min(0.05).max(timeoutSecsMax).default(TIMEOUT_SECS),
  });

export const UpdateHooks = z.strictObject({
  /** Before anything of a version is unpacked. Failing refuses the upgrade. */
  pre_stage: hook(TIMEOUT_SECS_MAX).optional(),
  /** With the permit in hand, before the service is stopped. Failing refuses the upgrade. */
  pre_swap: hook(TIMEOUT_SECS_MAX).optional(),
  /** After the new version was started. Failing counts as unhealthy. */
  post_swap: hook(TIMEOUT_SECS_MAX).optional(),
  /** Before the old version comes back. Failing is told and changes nothing. */
  pre_rollback: hook(ROLLBACK_TIMEOUT_SECS_MAX).optional(),
});
export type UpdateHooks = z.infer<typeof UpdateHooks>;
