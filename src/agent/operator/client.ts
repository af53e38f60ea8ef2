import { connect } from 'node:net';
import { join } from 'node:path';
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
  const text = await exchange(join(dir, SOCKET_FILE), `${JSON.stringify(request)}\n`, timeoutMs);
  const answer = text === null ? null : parseAnswer(text);
  if (answer === null) throw notAnswering(dir, pid);
  if (answer.ok) return answer.said;
  throw new FleetError(answer.code, answer.message);
}

function notAnswering(dir: string, pid: number): FleetError {
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
function exchange(path: string, line: string, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(line));
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_BYTES_MAX) socket.destroy();
    });
    socket.on('error', (error) => {
      const { code } = error as { code?: string };
      if (code === 'EACCES' || code === 'EPERM') reject(error);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      const isWhole = text.endsWith('\n') && text.length <= ANSWER_BYTES_MAX;
      resolve(isWhole ? text : null);
    });
  });
}
