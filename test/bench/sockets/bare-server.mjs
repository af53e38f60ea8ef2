// The baseline: `ws` and JSON.parse, and nothing else. It says what the client of the bench waits for, stores
// nothing, checks nothing and believes everybody.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { WebSocketServer } from 'ws';

const [port, certFile, keyFile] = process.argv.slice(2);
const http =
  certFile === undefined
    ? createServer()
    : createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
const server = new WebSocketServer({
  server: http,
  clientTracking: true,
  perMessageDeflate: false,
  handleProtocols: (offered) => [...offered][0],
});
let welcomes = 0;
const ANSWERS = {
  hello: () => ({
    type: 'welcome',
    session_id: `ses_${String((welcomes += 1)).padStart(12, '0')}`,
    server_time: new Date().toISOString(),
    heartbeat_interval_ms: 15_000,
    events_through: 0,
    commands: [],
  }),
  events: (message) => ({
    type: 'events_ack',
    spool_id: message.spool_id,
    through: message.events.at(-1).seq,
  }),
  permit_request: ({ command_id, ask }) => ({ type: 'permit', command_id, ask, lease_ms: 10_000 }),
};
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const message = JSON.parse(data.toString('utf8'));
    const answer = ANSWERS[message.type]?.(message);
    if (answer !== undefined) socket.send(JSON.stringify(answer));
  });
  socket.on('error', () => undefined);
});

/** A different payload for each, as large as a real one. */
function push(version) {
  let at = 0;
  const expires_at = new Date(Date.now() + 86_400_000).toISOString();
  for (const socket of server.clients) {
    at += 1;
    const command = {
      command_id: `cmd_${version.replaceAll('.', '')}${String(at).padStart(10, '0')}`,
      generation: Number(version.split('.')[1]) + 1,
      action: 'upgrade_binary',
      ...{ service: 'edge', product: 'edge', version, channel: 'stable', sources: [] },
      ...{ apply_after: null, expires_at, permit: 'required' },
    };
    socket.send(JSON.stringify({ type: 'command', command }));
  }
  return at;
}
process.on('message', ({ id, ask, version }) => {
  if (ask === 'push') process.send({ id, value: push(version) });
});
process.on('SIGTERM', () => process.exit(0));
http.listen(Number(port), '127.0.0.1', () => process.send({ id: 0, value: 'up' }));
