import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, vi } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { main } from '../command-line.js';
import { printable } from './printable.js';

it('keeps what people read, and nothing that a terminal obeys', () => {
  expect(printable('Größe\t1\nzwei')).toBe('Größe\t1\nzwei');
  expect(printable('a\u001b[2Jb\u009bc\u202ed\re')).toBe('a\\x1b[2Jb\\x9bc\\x202ed\\xde');
});

it('what a manager answers to `enroll` is told so', async () => {
  const dir = makeTempDir();
  const detail = 'no\u001b]0;owned\u0007\u001b[2J';
  const server = createServer((_request, response) => {
    response.writeHead(403, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ code: 'enrollment_token_unknown', detail }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const said: string[] = [];
  const spy = vi.spyOn(console, 'error').mockImplementation((text: string) => said.push(text));
  const words = ['enroll', '--manager', url, '--token', 'bwe_0123456789abcdefghijklmnop'];
  const code = await main([...words, '--dir', `${dir.path}/node`], {});
  spy.mockRestore();
  server.close();
  dir.remove();
  expect(code).toBe(1);
  expect(said.join()).toContain('owned');
  expect(said.join()).not.toMatch(/\p{Cc}/u);
});
