import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A real small service: answers on PORT with its version, and is as healthy as its release says. */
const PROGRAM = `#!/usr/bin/env node
'use strict';
const { createServer } = require('node:http');
const { version, healthy } = require('../release.json');
const server = createServer((request, response) => {
  response.statusCode = request.url === '/health' && !healthy ? 503 : 200;
  response.end(version + '\\n');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

/** Writes the files of one release; `healthy` false makes one that starts and then fails. */
export function writeService(folder: string, version: string, healthy: boolean): string {
  const path = join(folder, version);
  mkdirSync(join(path, 'bin'), { recursive: true });
  writeFileSync(join(path, 'bin', 'edge'), PROGRAM);
  chmodSync(join(path, 'bin', 'edge'), 0o755);
  writeFileSync(join(path, 'release.json'), `${JSON.stringify({ version, healthy })}\n`);
  return path;
}
