import { createHash } from 'node:crypto';
import type { Shown } from '../../../protocol/api/index.js';

type Json = Readonly<Record<string, unknown>>;

const without = (object: Json, names: readonly string[]): Json =>
  Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

/**
 * What makes a thing another one for whoever is about to change it. What moves by itself, such as a counter
 * or when it was seen last, is left out: otherwise nobody could ever change it on a condition.
 */
const VERSION_OF = {
  'users.show': (user: Json) => without(user, ['last_sign_in_at']),
  'groups.show': (group: Json) => group,
  'groups.switch': (its: Json) => its,
  'nodes.show': (node: Json) =>
    without(node, ['last_seen_at', 'status', 'transport', 'support', 'services', 'upgrade']),
  'releases.show': (release: Json) => release,
  'rollouts.show': (rollout: Json) => ({
    ...without(rollout, ['waves', 'updated_at']),
    waves: (rollout['waves'] as readonly Json[]).map(({ status, approved_by }) => ({
      status,
      approved_by,
    })),
  }),
  'sinks.show': (sink: Json) => ({
    ...without(sink, [
      ...['state', 'health', 'cursor', 'lag', 'delivered', 'missed', 'dead_letters'],
      ...['last_delivered_at', 'circuit'],
    ]),
    is_paused: sink['state'] === 'paused',
  }),
  'plans.show': (plan: Json) => without(plan, ['schedules']),
  'schedules.show': (schedule: Json) => ({
    ...without(schedule, [
      ...['state', 'reason', 'message', 'until', 'next_version', 'next_window', 'last', 'plan'],
      'done_sequence',
    ]),
    is_paused: schedule['state'] === 'paused',
  }),
} as const satisfies Readonly<Record<Shown, (thing: Json) => Json>>;

/** A strong tag: the same as long as nothing of it was changed by anybody. */
export function etagOf(name: Shown, thing: unknown): string {
  const text = JSON.stringify(VERSION_OF[name](thing as Json));
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
}
