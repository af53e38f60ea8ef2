import { Command, type NodeMessage } from '../protocol/node/index.js';
import type { ErrorCode } from '../protocol/index.js';
import type { IncomingCommand } from './link/index.js';
import type { Updater } from './updater/index.js';

const KNOWN_ACTIONS: ReadonlySet<string> = new Set(
  Command.options.map((option) => option.shape.action.value),
);
const MESSAGE_MAX = 1_000;

/**
 * Gives a command to the updater of its service and turns the answer into what is sent back. A
 * withdrawal goes to the updater whose command it withdraws. Safe to repeat, as the updater is.
 */
export async function obey(
  updaters: readonly Updater[],
  envelope: IncomingCommand,
): Promise<NodeMessage> {
  const { command_id, action } = envelope;
  const reject = (error_code: ErrorCode, message: string): NodeMessage => ({
    type: 'reject',
    command_id,
    error_code,
    message: message.slice(0, MESSAGE_MAX),
  });
  if (!KNOWN_ACTIONS.has(action)) {
    return reject('command_unknown_action', `this agent does not know ${action}`);
  }
  const parsed = Command.safeParse(envelope);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return reject('command_invalid', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const command = parsed.data;
  const updater =
    command.action === 'withdraw'
      ? ownerOf(updaters, command.withdraws)
      : updaters.find((one) => one.name === command.service && one.product === command.product);
  if (updater === undefined) {
    // What never came here is withdrawn already.
    if (command.action === 'withdraw') return { type: 'ack', command_id, result: 'accepted' };
    const { service, product } = command;
    const message = `no service ${service} of product ${product} on this node`;
    return reject('command_unknown_service', message);
  }
  const answer = await updater.command(command);
  if (!answer.ok) return reject(answer.code, answer.message);
  return { type: 'ack', command_id, result: answer.isDuplicate ? 'duplicate' : 'accepted' };
}

/** The updater that got this command, if any. */
export const ownerOf = (updaters: readonly Updater[], commandId: string): Updater | undefined =>
  updaters.find((updater) => updater.knows(commandId));
