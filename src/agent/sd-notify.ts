import { spawn } from 'node:child_process';
import type { Log } from './log.js';

/** Beats in one watchdog time: two may be lost or late. sd_watchdog_enabled(3) asks for two or more. */
const BEATS_PER_WATCHDOG = 3;
/** Without a watchdog, the line of `systemctl status` is as fresh as this. */
const STATUS_MS = 30_000;
/** systemd-notify waits until systemd has read what it sent; longer than this it is given up. */
const SEND_TIMEOUT_MS = 5_000;
const STATUS_CHARS_MAX = 200;
/**
 * A start that takes long, because services answer slowly, asks systemd for more time: three times in the 60 s
 * of TimeoutStartSec=, each time for as long again. After ten minutes no more: then it counts as one that hangs.
 */
const EXTEND_EVERY_MS = 20_000;
const EXTEND_BY_MS = 60_000;
const EXTENSIONS_MAX = 30;

export interface Notifier {
  /** The agent works at its start: until `ready`, it is not taken for one that hangs, for some minutes. */
  starting(everyMs?: number): void;
  /** The agent has started. From here on `status` is told at each beat of the watchdog. */
  ready(status: () => string): void;
  /** The agent ends on purpose. Ends the beats; resolves when it is told. Never rejects. */
  stopping(): Promise<void>;
}

const NOBODY: Notifier = {
  starting: () => undefined,
  ready: () => undefined,
  stopping: () => Promise.resolve(),
};

/**
 * Tells systemd how the agent fares (sd_notify(3)); nobody where it was not started by systemd. The
 * beats come from the event loop, so one that hangs is found. Takes its variables out of `env`:
 * what the agent starts must not speak for it. Unix datagrams are not to be had in this runtime, so
 * each message costs one short process of `systemd-notify`.
 */
export function openNotifier(log: Log, env: NodeJS.ProcessEnv = process.env): Notifier {
  const { PATH, NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = env;
  delete env['NOTIFY_SOCKET'];
  delete env['WATCHDOG_USEC'];
  delete env['WATCHDOG_PID'];
  if (socket === undefined || socket === '') return NOBODY;
  const isOurs = pid === undefined || Number(pid) === process.pid;
  const watchdogMs = isOurs ? Number(usec ?? '0') / 1000 : 0;
  const hasWatchdog = Number.isFinite(watchdogMs) && watchdogMs > 0;
  const everyMs = hasWatchdog ? watchdogMs / BEATS_PER_WATCHDOG : STATUS_MS;
  const send = senderTo({ PATH, NOTIFY_SOCKET: socket }, log);
  let timer: NodeJS.Timeout | null = null;
  const end = (): void => {
    if (timer !== null) clearInterval(timer);
    timer = null;
  };
  return {
    starting: (extendEveryMs = EXTEND_EVERY_MS) => {
      let left = EXTENSIONS_MAX;
      timer = setInterval(() => {
        left -= 1;
        if (left < 0) end();
        else void send([`EXTEND_TIMEOUT_USEC=${EXTEND_BY_MS * 1_000}`]);
      }, extendEveryMs);
      timer.unref();
    },
    ready: (status) => {
      end();
      const words = (): string => `STATUS=${oneLine(status())}`;
      const beat = hasWatchdog ? ['WATCHDOG=1'] : [];
      void send(['READY=1', ...beat, words()]);
      timer = setInterval(() => void send([...beat, words()]), everyMs);
      timer.unref();
    },
    stopping: () => {
      end();
      return send(['STOPPING=1', 'STATUS=ends']);
    },
  };
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, STATUS_CHARS_MAX);

/** Sends assignments one message after another. A failure is logged, and once only. */
function senderTo(
  env: NodeJS.ProcessEnv,
  log: Log,
): (assignments: readonly string[]) => Promise<void> {
  let isLogged = false;
  let last: Promise<void> = Promise.resolve();
  const sendNow = (assignments: readonly string[]): Promise<void> =>
    new Promise((resolve) => {
      const options = { env, stdio: 'ignore', timeout: SEND_TIMEOUT_MS } as const;
      const child = spawn('systemd-notify', ['--', ...assignments], options);
      const end = (problem: string | null): void => {
        if (problem !== null && !isLogged) log('systemd cannot be told', { error: problem });
        isLogged ||= problem !== null;
        resolve();
      };
      child.once('error', (error) => {
        end(error.message);
      });
      child.once('exit', (code) => {
        end(code === 0 ? null : `systemd-notify: exit code ${code ?? 'none'}`);
      });
    });
  return (assignments) => {
    last = last.then(() => sendNow(assignments));
    return last;
  };
}
