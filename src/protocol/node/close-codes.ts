import type { ErrorCode } from '../errors.js';

/**
 * Why the manager closes a link, one code a cause. Codes 4000 to 4999 are free for applications
 * (RFC 6455, 7.4.2); 1001 and 1009 keep their standard meaning.
 *
 * A node comes back after every code with its usual back-off, but after `revoked` only once an
 * hour: nothing it can do by itself would help.
 */
export const CLOSE = {
  going_away: 1001,
  frame_too_large: 1009,
  frame_not_json: 4000,
  message_invalid: 4001,
  message_out_of_order: 4002,
  message_rate_exceeded: 4003,
  hello_timeout: 4004,
  heartbeat_lost: 4005,
  superseded: 4006,
  revoked: 4007,
  protocol_unsupported: 4008,
  frame_binary: 4009,
  internal_error: 4010,
} as const satisfies Partial<Record<ErrorCode | 'going_away' | 'superseded' | 'revoked', number>>;

export type CloseReason = keyof typeof CLOSE;
