import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** What stands before several managers: each connection goes to the next of them that takes it. */
export interface Balancer {
  readonly url: string;
  /** Ports on this machine; may change at any time. */
  ports: number[];
  stop(): Promise<void>;
}

export async function startBalancer(): Promise<Balancer> {
  const open = new Set<Socket>();
  let turn = 0;
  const join = (client: Socket, left: number): void => {
    const port = balancer.ports[turn % Math.max(1, balancer.ports.length)];
    turn += 1;
    if (port === undefined || left === 0) {
      client.destroy();
      return;
    }
    const behind = connect(port, '127.0.0.1');
    let isThrough = false;
    behind.once('connect', () => {
      isThrough = true;
      client.pipe(behind).pipe(client);
    });
    behind.once('error', () => {
      if (!isThrough) join(client, left - 1);
    });
    open.add(behind);
    behind.once('close', () => {
      open.delete(behind);
      if (isThrough) client.destroy();
    });
    client.once('close', () => behind.destroy());
  };
  const server = createServer((client) => {
    open.add(client);
    client.on('error', () => undefined);
    client.once('close', () => open.delete(client));
    join(client, balancer.ports.length);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const balancer: Balancer = {
    url: `http://127.0.0.1:${port}`,
    ports: [],
    stop: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return balancer;
}
