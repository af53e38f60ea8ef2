import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../../core/kernel/index.js';
import { lockOwner } from '../lock.js';
import {
  ANSWER_BYTES_MAX,
  LocalAnswer,
  SOCKET_FILE,
  type LocalRequest,
  type Said,
} from './messages.js';

/** A rollback waits for its end, and the manager may be slow to welcome. */
const ANSWER_TIMEOUT_MS = 60_000;
/** An agent that has just started holds its lock before it listens, longer when the machine is busy. */
const LISTEN_WAIT_MS = 5_000;
/** The sockets of a process that dies are closed before the process is gone. */
const GONE_WAIT_MS = 2_000;
const POLL_MS = 50;

/** Whether an agent holds this directory, answering or not. */
export const runsHere = (dir: string): boolean => lockOwner(dir) !== null;

/**
 * Asks the agent that runs on this directory. Throws what it answers, `agent_not_running` when there is
 * none or it does not answer, and an error of the file system (EACCES for others than root).
 */
export async function ask(
  dir: string,
  request: LocalRequest,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<readonly Said[]> {
  const pid = lockOwner(dir);
  if (pid === null) throw new FleetError('agent_not_running', `no agent runs on ${dir}`);
  const socket = await reached(dir, pid);
  const text = socket === null ? null : await exchange(socket, request, timeoutMs);
  const answer = text === null ? null : parseAnswer(text);
  if (answer === null) throw await notAnswering(dir, pid);
  if (answer.ok) return answer.said;
  throw new FleetError(answer.code, answer.message);
}

/** Null when that agent ended, or does not listen after a while. */
async function reached(dir: string, pid: number): Promise<Socket | null> {
  const untilMs = performance.now() + LISTEN_WAIT_MS;
  for (;;) {
    const socket = await connected(join(dir, SOCKET_FILE));
    if (socket !== null) return socket;
    if (lockOwner(dir) !== pid || performance.now() > untilMs) return null;
    await sleep(POLL_MS);
  }
}

/** Null when nobody listens there. Throws when we may not enter. */
function connected(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      resolve(socket);
    });
    socket.on('error', (error) => {
      const { code } = error as { code?: string };
      if (code === 'EACCES' || code === 'EPERM') reject(error);
      else resolve(null);
    });
  });
}

async function notAnswering(dir: string, pid: number): Promise<FleetError> {
  const untilMs = performance.now() + GONE_WAIT_MS;
  while (lockOwner(dir) === pid && performance.now() < untilMs) await sleep(POLL_MS);
  const message =
    lockOwner(dir) === pid
      ? `the agent (process ${pid}) holds ${dir} and does not answer; stop it first if it hangs`
      : `the agent (process ${pid}) ended before it answered; what it began goes on at its next start`;
  return new FleetError('agent_not_running', message);
}

function parseAnswer(text: string): LocalAnswer | null {
  try {
    return LocalAnswer.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** What came until the end; null when nothing whole came. */
function exchange(
  socket: Socket,
  request: LocalRequest,
  timeoutMs: number,
): Promise<string | null> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_BYTES_MAX) socket.destroy();
    });
    socket.on('close', () => {
      clearTimeout(timer);
      const isWhole = text.endsWith('\n') && text.length <= ANSWER_BYTES_MAX;
      resolve(isWhole ? text : null);
    });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}
