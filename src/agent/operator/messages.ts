import { z } from 'zod';
import { ProductName } from '../../core/release/index.js';

/** Name of the socket in the directory of the agent. */
export const SOCKET_FILE = 'agent.sock';
/** A request names a service and a switch. */
export const REQUEST_BYTES_MAX = 4_096;
/** An answer has a sentence for each service. */
export const ANSWER_BYTES_MAX = 256 * 1024;
/** `sun_path` of unix(7), without its end. */
export const SOCKET_PATH_BYTES_MAX = 107;

const service = ProductName.nullable();

/** One line of JSON to the agent that runs. Each is safe to repeat. */
export const LocalRequest = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('look'), now: z.boolean(), service }),
  z.strictObject({ do: z.literal('apply'), service }),
  z.strictObject({ do: z.literal('rollback'), service }),
  z.strictObject({ do: z.literal('reload'), service }),
  /** `force`: also while the manager cannot be told. */
  z.strictObject({
    do: z.literal('decommission'),
    stop_services: z.boolean(),
    force: z.boolean(),
  }),
]);
export type LocalRequest = z.infer<typeof LocalRequest>;

/** What is said of one service; of the node when it is null. */
export const Said = z.object({ service: z.string().nullable(), message: z.string() });
export type Said = z.infer<typeof Said>;

/** One line of JSON back, then the end of the connection. */
export const LocalAnswer = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), said: z.array(Said) }),
  z.object({ ok: z.literal(false), code: z.string().max(64), message: z.string() }),
]);
export type LocalAnswer = z.infer<typeof LocalAnswer>;
