// A process of its own that asks for pages, one after another, over one connection. Takes
// `{ url, token, paths }` as JSON; tells the milliseconds that each answer took, as JSON.
import { Agent, get } from 'node:http';
import { readFileSync } from 'node:fs';

const { url, token, paths } = JSON.parse(readFileSync(0, 'utf8'));
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const headers = { authorization: `Bearer ${token}` };

const ask = (path) =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now();
    get(url + path, { agent, headers }, (response) => {
      response.resume();
      response.once('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - startedMs);
        else reject(new Error(`${path}: ${response.statusCode}`));
      });
    }).once('error', reject);
  });

const times = [];
for (const path of paths) times.push(await ask(path));
process.stdout.write(JSON.stringify(times), () => process.exit(0));
