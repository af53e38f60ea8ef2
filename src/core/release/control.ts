import { z } from 'zod';
import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { Version } from './names.js';

/** A file of two switches; more than this is another file. */
export const CONTROL_BYTES_MAX = 4_096;

/**
 * What a person on the node has decided, apart from the policy: the policy may be replaced by a signed
 * one, this is changed by hand on the node only. It can forbid and never allow.
 */
export const LocalControl = z.strictObject({
  schema: z.literal('bellwether.control.v1'),
  /** False: nothing is installed until somebody says `enable`. */
  enabled: z.boolean().default(true),
  /** The one version that may be installed; null for any that the policy allows. */
  pin: Version.nullable().default(null),
});
export type LocalControl = z.infer<typeof LocalControl>;

/** As if nobody had ever decided anything. */
export const NO_CONTROL: LocalControl = {
  schema: 'bellwether.control.v1',
  enabled: true,
  pin: null,
};

export type ControlErrorCode = 'upgrade_disabled' | 'upgrade_pinned';

/**
 * Whether a person on the node lets this version be installed. Says nothing of going back: a watchdog
 * that turns a bad version back, and the kill list, are not held up by a switch.
 */
export function judgeControl(
  { enabled, pin }: LocalControl,
  version: string,
): Result<null, Refusal<ControlErrorCode>> {
  if (!enabled) {
    return refuse('upgrade_disabled', 'upgrades are switched off by hand on this node');
  }
  if (pin === null || pin === version) return ok(null);
  return refuse('upgrade_pinned', `this node is pinned to ${pin} by hand; ${version} is not it`);
}
