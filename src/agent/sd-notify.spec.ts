import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openNotifier } from './sd-notify.js';

let folder: string;
const logged: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-notify-'));
  logged.length = 0;
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A systemd-notify that writes down what it is told; the real one is tried by `npm run test:systemd`. */
function teller(script: string): NodeJS.ProcessEnv {
  const file = join(folder, 'systemd-notify');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return { PATH: folder, NOTIFY_SOCKET: join(folder, 'told'), WATCHDOG_USEC: '600000' };
}
const told = (): string[] => readFileSync(join(folder, 'told'), 'utf8').trim().split('\n');
const log = (message: string): void => void logged.push(message);

it('tells that it is ready, beats in a third of the watchdog time, and says goodbye', async () => {
  const env = teller('shift; echo "$*" >> "$NOTIFY_SOCKET"');
  const notifier = openNotifier(log, env);
  // What the agent starts must not speak for it.
  expect(env).toEqual({ PATH: folder });
  notifier.ready(() => 'edge\n1.0.0');
  await sleep(700);
  await notifier.stopping();
  const lines = told();
  expect(lines[0]).toBe('READY=1 WATCHDOG=1 STATUS=edge 1.0.0');
  expect(lines.slice(1, -1).length).toBeGreaterThanOrEqual(2);
  expect(new Set(lines.slice(1, -1))).toEqual(new Set(['WATCHDOG=1 STATUS=edge 1.0.0']));
  expect(lines.at(-1)).toBe('STOPPING=1 STATUS=ends');
  await sleep(400);
  expect(told()).toEqual(lines);
});

it('that starts for long asks for more time, thirty times at most, and not when it is ready', async () => {
  const env = teller('shift; echo "$*" >> "$NOTIFY_SOCKET"');
  const slow = openNotifier(log, { ...env });
  slow.starting(5);
  await sleep(1_500);
  await slow.stopping();
  const lines = told();
  expect(lines.slice(0, -1)).toEqual(Array(30).fill('EXTEND_TIMEOUT_USEC=60000000'));
  const quick = openNotifier(log, { ...env });
  quick.starting();
  quick.ready(() => 'well');
  await quick.stopping();
  expect(told().slice(lines.length)).toEqual([
    'READY=1 WATCHDOG=1 STATUS=well',
    'STOPPING=1 STATUS=ends',
  ]);
});

it('does not beat with a watchdog of another process', async () => {
  const env = teller('shift; echo "$*" >> "$NOTIFY_SOCKET"');
  const notifier = openNotifier(log, { ...env, WATCHDOG_PID: '1' });
  notifier.ready(() => 'well');
  await sleep(500);
  await notifier.stopping();
  expect(told()).toEqual(['READY=1 STATUS=well', 'STOPPING=1 STATUS=ends']);
});

it('says once that systemd cannot be told, and goes on', async () => {
  const notifier = openNotifier(log, teller('exit 1'));
  notifier.ready(() => 'well');
  await sleep(500);
  await notifier.stopping();
  expect(logged).toEqual(['systemd cannot be told']);
});

it('without systemd starts nothing', async () => {
  teller('echo told > "$0.told"');
  const notifier = openNotifier(log, {});
  notifier.ready(() => 'well');
  await notifier.stopping();
  expect(() => readFileSync(join(folder, 'systemd-notify.told'))).toThrow();
});
