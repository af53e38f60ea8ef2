// A process of its own that plays nodes: each sends its batches over a real link, one in flight, and
// waits for the acknowledgement. Told on standard input; says when all links are open, and answers with a line
// of JSON.
import { WebSocket } from 'ws';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const { url, subprotocol, tokens, hello, batches, perBatch } = JSON.parse(input);

const eventOf = (seq) => ({
  seq,
  at: new Date().toISOString(),
  type: 'upgrade_downloaded',
  category: 'upgrade',
  severity: 'info',
  service: 'edge',
  command_id: null,
  message: 'the artifact was downloaded and its digest fits the manifest',
  details: { product: 'edge', version: '1.2.0', bytes: 60000000, error_code: null },
});
// Made before the clock starts: it is not the client that is measured.
const frames = Array.from({ length: batches }, (_, batch) =>
  JSON.stringify({
    type: 'events',
    spool_id: 'spl_000001',
    events: Array.from({ length: perBatch }, (_, at) => eventOf(batch * perBatch + at + 1)),
  }),
);

const open = (token) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, subprotocol, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    socket.once('error', reject);
    socket.once('open', () => socket.send(JSON.stringify(hello)));
    socket.once('message', () => resolve(socket));
  });
const send = (socket) =>
  new Promise((resolve) => {
    let next = 0;
    socket.on('message', () => {
      next += 1;
      if (next === frames.length) resolve();
      else socket.send(frames[next]);
    });
    socket.send(frames[0]);
  });

const sockets = [];
for (const token of tokens) sockets.push(await open(token));
console.log('open');
const startedAt = performance.now();
await Promise.all(sockets.map(send));
const ms = performance.now() - startedAt;
for (const socket of sockets) socket.terminate();
console.log(JSON.stringify({ events: tokens.length * batches * perBatch, ms }));
