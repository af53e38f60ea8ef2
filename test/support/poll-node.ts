import type { Hello, SyncAnswer, SyncRequest } from '../../src/protocol/node/index.js';
import type { ProblemBody, Reply, TestManager, TestNode } from './manager.js';
import { aHello } from './node-link.js';

let polls = 0;
export const aPollId = (): string => `pol_${String((polls += 1)).padStart(8, '0')}`;

export type PollReply = Reply<SyncAnswer & ProblemBody>;

/** The node's end of a poll, one request at a time, told by the spec what to say. */
export interface PollNode {
  readonly pollId: string;
  readonly nodeId: string;
  /** One request, as it is; numbers go on by themselves where they are not given. */
  ask(given?: Partial<SyncRequest>): Promise<PollReply>;
  /** Says messages, in one request, and takes the answer. */
  say(...messages: unknown[]): Promise<SyncAnswer>;
  /** Waits for what the manager says next. */
  listen(waitMs?: number): Promise<SyncAnswer>;
}

/** A poll that has not begun. */
export function pollOf(manager: TestManager, node: TestNode): PollNode {
  const pollId = aPollId();
  let said = 0;
  let received = 0;
  const ask: PollNode['ask'] = async (given = {}) => {
    const body = { poll_id: pollId, seq: said + 1, messages: [], received, wait_ms: 0, ...given };
    return manager.call('link.sync', { body: { close: false, ...body } }, node.token());
  };
  const exchange = async (given: Partial<SyncRequest>): Promise<SyncAnswer> => {
    const { status, body } = await ask(given);
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
    said = Math.max(said, body.received);
    received = Math.max(received, body.seq + body.messages.length - 1);
    return body;
  };
  return {
    pollId,
    nodeId: node.id,
    ask,
    say: (...messages) => exchange({ messages }),
    listen: (wait_ms = 5_000) => exchange({ wait_ms }),
  };
}

/** A poll that said hello and was welcomed. */
export async function pollingNode(
  manager: TestManager,
  node: TestNode,
  hello: Partial<Hello> = {},
): Promise<PollNode> {
  const poll = pollOf(manager, node);
  await poll.say(aHello(hello));
  for (;;) {
    const { messages } = await poll.listen();
    if (messages.some((message) => (message as { type: string }).type === 'welcome')) return poll;
  }
}
