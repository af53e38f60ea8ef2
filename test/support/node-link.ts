import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import {
  LINK_PATH,
  SUBPROTOCOL,
  type Hello,
  type ManagerMessage,
  type NodeMessage,
  type ServiceReport,
} from '../../src/protocol/node/index.js';
import { aHost, type TestManager, type TestNode } from './manager.js';

type MessageType = ManagerMessage['type'];
type MessageOf<T extends MessageType> = Extract<ManagerMessage, { type: T }>;

/** How long a spec waits for one message. */
const NEXT_MS_MAX = 25_000;

/** The node's end of a real link, told by the spec what to say. */
export interface NodeLink {
  readonly nodeId: string;
  send(message: NodeMessage): void;
  /** Takes the next message of a type; those of other types are kept for their turn. */
  next<T extends MessageType>(type: T): Promise<MessageOf<T>>;
  /** How many messages of a type have come and were not taken. */
  waiting(type: MessageType): number;
  /** Resolves with the code when the link has been closed, by whichever side. */
  readonly closed: Promise<number>;
  close(): Promise<void>;
}

export const aService = (over: Partial<ServiceReport> = {}): ServiceReport => ({
  name: 'edge',
  product: 'edge',
  variant: 'default',
  version: '1.0.0',
  previous_version: null,
  phase: 'idle',
  command_id: null,
  healthy: true,
  restarts: 0,
  outcome: null,
  ...over,
});

export const aHello = (over: Partial<Hello> = {}): Hello => ({
  type: 'hello',
  protocol: 1,
  agent_version: '0.1.0',
  boot_id: 'boot-1',
  last_session: null,
  spool: { id: 'spl_000001', first_seq: 1, next_seq: 1 },
  host: aHost(),
  services: [aService()],
  capabilities: ['upgrade'],
  policy_digest: '',
  ...over,
});

/** Opens a link and says hello; resolves when the node is let in, its `welcome` not yet taken. */
export async function connectNode(
  manager: TestManager,
  node: TestNode,
  hello: Partial<Hello> = {},
): Promise<NodeLink> {
  const socket = new WebSocket(manager.url.replace('http', 'ws') + LINK_PATH, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${node.token()}` },
  });
  const inbox: ManagerMessage[] = [];
  let wake = Promise.withResolvers<null>();
  socket.on('message', (data: Buffer) => {
    inbox.push(JSON.parse(data.toString()) as ManagerMessage);
    wake.resolve(null);
    wake = Promise.withResolvers<null>();
  });
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  await once(socket, 'open');
  socket.send(JSON.stringify(aHello(hello)));

  const next: NodeLink['next'] = async (type) => {
    const deadline = performance.now() + NEXT_MS_MAX;
    for (;;) {
      const index = inbox.findIndex((message) => message.type === type);
      if (index >= 0) return inbox.splice(index, 1)[0] as never;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`no ${type} came; there is ${JSON.stringify(inbox)}`);
      await Promise.race([wake.promise, sleep(leftMs, null, { ref: false })]);
    }
  };
  const link: NodeLink = {
    nodeId: node.id,
    closed,
    next,
    waiting: (type) => inbox.filter((message) => message.type === type).length,
    send: (message) => socket.send(JSON.stringify(message)),
    close: async () => {
      socket.close();
      await closed;
    },
  };
  inbox.push(await next('welcome'));
  return link;
}
