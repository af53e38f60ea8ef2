import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FleetError } from '../../core/kernel/index.js';
import { holdLock } from '../lock.js';
import { ask } from './client.js';
import { ANSWER_BYTES_MAX, type LocalRequest } from './messages.js';
import { LocalServer, type Handle } from './server.js';

let dir: string;
let server: LocalServer | null;
let unlock: () => void;
const asked: LocalRequest[] = [];
let handle: Handle;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-local-'));
  asked.length = 0;
  handle = (request) => {
    asked.push(request);
    return Promise.resolve([{ service: 'edge', message: 'done' }]);
  };
  unlock = holdLock(dir);
  server = await LocalServer.open(
    dir,
    (request) => handle(request),
    () => undefined,
  );
});
afterEach(async () => {
  await server?.close();
  unlock();
  rmSync(dir, { recursive: true, force: true });
});

const path = (): string => join(dir, 'agent.sock');
const LOOK: LocalRequest = { do: 'look', now: false, service: null };

/** Sends bytes as they are, and answers what came back until the end. */
function send(bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path());
    let text = '';
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(text);
    });
  });
}

describe('the socket for commands', () => {
  it('takes one request and gives one answer', async () => {
    expect(await ask(dir, LOOK)).toEqual([{ service: 'edge', message: 'done' }]);
    expect(asked).toEqual([LOOK]);
  });

  it('belongs to its owner alone, and leaves nothing beside it', () => {
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir).sort()).toEqual(['agent.lock', 'agent.sock']);
  });

  it.each([
    ['what is not JSON', 'hello?\n', 'invalid_request'],
    ['null', 'null\n', 'invalid_request'],
    ['an unknown command', '{"do":"shell","service":null}\n', 'invalid_request'],
    ['a field too many', '{"do":"apply","service":null,"permit":true}\n', 'invalid_request'],
    ['a service that is a path', '{"do":"apply","service":"../edge"}\n', 'invalid_request'],
    ['prototypes', '{"do":"apply","service":null,"__proto__":{"x":1}}\n', null],
    ['deep nesting', `${'['.repeat(2_000)}\n`, 'invalid_request'],
    ['too much', `${'x'.repeat(5_000)}\n`, 'payload_too_large'],
    ['far too much without an end', 'x'.repeat(500_000), 'payload_too_large'],
    ['bytes', Buffer.from([0xff, 0xfe, 0x00, 0x0a]), 'invalid_request'],
  ])('answers %s with an error, and lives on', async (_, bytes, code) => {
    const text = await send(bytes);
    // A peer that goes on sending may be cut off before it reads; nobody is asked anything then.
    if (text !== '' && code !== null) {
      expect(JSON.parse(text)).toMatchObject({ ok: false, code });
      expect(text.length).toBeLessThan(1_000);
    }
    if (code !== null) expect(asked).toEqual([]);
    expect(await ask(dir, LOOK)).toHaveLength(1);
  });

  it('takes the first line only', async () => {
    const line = `${JSON.stringify(LOOK)}\n`;
    await send(line + line + line);
    expect(asked).toHaveLength(1);
  });

  it('gives a refusal with its code, and hides nothing behind a crash', async () => {
    handle = () => Promise.reject(new FleetError('nothing_to_apply', 'no version is staged'));
    await expect(ask(dir, LOOK)).rejects.toMatchObject({ code: 'nothing_to_apply' });
    handle = () => Promise.reject(new Error('boom'));
    await expect(ask(dir, LOOK)).rejects.toMatchObject({ code: 'internal_error' });
  });

  it('does not hear of peers that say nothing, however many, for long', async () => {
    const silent = Array.from({ length: 40 }, () => connect(path()));
    for (const socket of silent) socket.on('error', () => undefined);
    await Promise.all(silent.map((socket) => new Promise((done) => socket.on('close', done))));
    expect(await ask(dir, LOOK)).toHaveLength(1);
  });

  it('that is gone, or hangs, is told as that', async () => {
    handle = () => new Promise(() => undefined);
    await expect(ask(dir, LOOK, 100)).rejects.toMatchObject({ code: 'agent_not_running' });
    await server?.close();
    await server?.close();
    expect(existsSync(path())).toBe(false);
    await expect(ask(dir, LOOK)).rejects.toMatchObject({ code: 'agent_not_running' });
    unlock();
    await expect(ask(dir, LOOK)).rejects.toThrow(/no agent runs/);
  });

  it('takes an answer that is too large for none', async () => {
    const message = 'x'.repeat(ANSWER_BYTES_MAX);
    handle = () => Promise.resolve([{ service: null, message }]);
    await expect(ask(dir, LOOK)).rejects.toMatchObject({ code: 'agent_not_running' });
  });

  it('of a killed agent gives way to that of the next', async () => {
    const next = await LocalServer.open(
      dir,
      (request) => handle(request),
      () => undefined,
    );
    expect(await ask(dir, LOOK)).toHaveLength(1);
    await next?.close();
  });

  it('is not made where its path would be too long, and says so', async () => {
    const logged: string[] = [];
    const long = mkdtempSync(join(tmpdir(), 'x'.repeat(90)));
    const none = await LocalServer.open(long, handle, (message) => logged.push(message));
    expect([none, logged.length, readdirSync(long)]).toEqual([null, 1, []]);
    rmSync(long, { recursive: true });
  });

  it.runIf(process.getuid?.() === 0)('lets no other user in, also where the folder is open', () => {
    chmodSync(dir, 0o755);
    const program = `require('net').connect(${JSON.stringify(path())})
      .on('connect', () => process.exit(0)).on('error', (e) => { console.log(e.code); process.exit(1); })`;
    const nobody = 65_534;
    const tried = spawnSync('/proc/self/exe', ['-e', program], {
      argv0: process.execPath,
      uid: nobody,
      gid: nobody,
      encoding: 'utf8',
    });
    expect([tried.status, tried.stdout.trim()], tried.stderr).toEqual([1, 'EACCES']);
  });
});
