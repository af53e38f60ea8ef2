// A process of its own that reads one artifact with many readers at once, as nodes do, and throws it away. Told on
// standard input; answers with a line of JSON.
import http from 'node:http';
import https from 'node:https';

let input = '';
for await (const chunk of process.stdin) input += chunk;
const { url, tokens, ca } = JSON.parse(input);
const { get } = url.startsWith('https') ? https : http;

const read = (token) =>
  new Promise((resolve, reject) => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    get(url, { headers, agent: false, ca }, (response) => {
      if (response.statusCode !== 200) {
        reject(new Error(`answered ${response.statusCode}`));
        return;
      }
      let bytes = 0;
      response.on('data', (chunk) => (bytes += chunk.length));
      response.on('end', () => resolve(bytes));
      response.on('error', reject);
    }).on('error', reject);
  });

const startedAt = performance.now();
const bytes = (await Promise.all(tokens.map(read))).reduce((sum, one) => sum + one, 0);
console.log(JSON.stringify({ bytes, ms: performance.now() - startedAt }));
