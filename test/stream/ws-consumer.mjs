// Reads events over a WebSocket with credit and writes their ids, one a line. Comes back by itself.
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

const [, , url, token, first] = process.argv;
const CREDIT = 200;
let after = Number(first);

const follow = () =>
  new Promise((resolve) => {
    let left = CREDIT;
    const socket = new WebSocket(`${url}/api/v1/events/ws`, 'bellwether.events.v1', {
      headers: { authorization: `Bearer ${token}` },
    });
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'start', after, credit: CREDIT }));
    });
    socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      if (message.type === 'progress') after = message.after;
      if (message.type !== 'events') return;
      // One write: whole lines, or a last one that is cut off.
      writeSync(1, message.items.map(({ id }) => `${id}\n`).join(''));
      after = message.items.at(-1).id;
      left -= message.items.length;
      if (left > CREDIT / 2) return;
      socket.send(JSON.stringify({ type: 'credit', events: CREDIT - left }));
      left = CREDIT;
    });
    socket.on('error', () => undefined);
    socket.on('close', resolve);
  });

for (;;) {
  await follow();
  await sleep(200);
}
