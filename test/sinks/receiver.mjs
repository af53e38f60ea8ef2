// A webhook receiver as a process of its own, to be killed: what it has answered 200 for is on its disk.
// usage: node receiver.mjs PORT DIRECTORY
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [port, dir] = process.argv.slice(2);

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const events = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const file = openSync(join(dir, request.url.slice(1)), 'a');
    writeSync(file, events.map(({ id, message }) => `${id}\t${message}\n`).join(''));
    fsyncSync(file);
    closeSync(file);
    response.end();
  });
}).listen(Number(port), '127.0.0.1', () => console.log('listening'));
