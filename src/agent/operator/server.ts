import { chmod, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { FleetError } from '../../core/kernel/index.js';
import type { Log } from '../log.js';
import {
  LocalRequest,
  REQUEST_BYTES_MAX,
  SOCKET_FILE,
  SOCKET_PATH_BYTES_MAX,
  type LocalAnswer,
  type Said,
} from './messages.js';

/** A request is one line; who has not sent it by then sends none. */
const REQUEST_TIMEOUT_MS = 5_000;
/** People, and scripts that ask many things at once; more are cut off. */
const CONNECTIONS_MAX = 32;
const DRAFT = `.${SOCKET_FILE}-`;

export type Handle = (request: LocalRequest) => Promise<readonly Said[]>;

/**
 * Takes the commands of people on this machine, at `agent.sock` beside the identity of the node: a
 * directory that only its owner may enter, a socket that only its owner (and root) may connect to. One
 * request and one answer a connection, each one line of JSON. Whatever else comes is answered with an
 * error or cut off; none of it ends the agent.
 */
export class LocalServer {
  readonly #server: Server;
  readonly #path: string;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** Null where no socket can be made (a path that is too long, a full disk): the agent runs without. */
  static async open(dir: string, handle: Handle, log: Log): Promise<LocalServer | null> {
    const server = createServer((socket) => {
      converse(socket, handle);
    });
    server.maxConnections = CONNECTIONS_MAX;
    try {
      return new LocalServer(server, await listen(server, dir));
    } catch (error) {
      server.close();
      log('commands cannot be taken on this machine', { dir, error: String(error) });
      return null;
    }
  }

  /** Takes no more; what is being answered is answered. Idempotent. */
  async close(): Promise<void> {
    this.#server.close();
    await rm(this.#path, { force: true });
  }
}

/** Made in a directory that nobody else may enter, and moved when its mode is right: never open to all. */
async function listen(server: Server, dir: string): Promise<string> {
  for (const name of await readdir(dir)) {
    if (name.startsWith(DRAFT)) await rm(join(dir, name), { recursive: true, force: true });
  }
  const folder = await mkdtemp(join(dir, DRAFT));
  try {
    const draft = join(folder, 's');
    if (Buffer.byteLength(draft) > SOCKET_PATH_BYTES_MAX) throw new Error('its path is too long');
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(draft, resolve);
    });
    await chmod(draft, 0o600);
    const path = join(dir, SOCKET_FILE);
    await rename(draft, path);
    return path;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function converse(socket: Socket, handle: Handle): void {
  let text = '';
  let isAsked = false;
  const timer = setTimeout(() => socket.destroy(), REQUEST_TIMEOUT_MS);
  const answer = (said: LocalAnswer): void => {
    clearTimeout(timer);
    socket.end(`${JSON.stringify(said)}\n`);
  };
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    clearTimeout(timer);
  });
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    if (isAsked) return;
    text += chunk;
    const end = text.indexOf('\n');
    const isTooLong = Buffer.byteLength(text) > REQUEST_BYTES_MAX;
    if (end < 0 && !isTooLong) return;
    isAsked = true;
    clearTimeout(timer);
    if (isTooLong) {
      answer(wrong('payload_too_large', `a request has at most ${REQUEST_BYTES_MAX} bytes`));
    } else {
      void respond(text.slice(0, end), handle).then(answer);
    }
  });
}

const wrong = (code: string, message: string): LocalAnswer => ({ ok: false, code, message });

async function respond(line: string, handle: Handle): Promise<LocalAnswer> {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return wrong('invalid_request', 'a request is one line of JSON');
  }
  const parsed = LocalRequest.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join('.') ?? '';
    return wrong('invalid_request', `${where}: ${issue?.message ?? 'invalid'}`.slice(0, 500));
  }
  try {
    return { ok: true, said: [...(await handle(parsed.data))] };
  } catch (error) {
    if (error instanceof FleetError) return wrong(error.code, error.message);
    return wrong('internal_error', String(error).slice(0, 500));
  }
}
