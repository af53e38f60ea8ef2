import { existsSync, readFileSync } from 'node:fs';
import { runCommand } from './run-command.js';

/** systemctl answers in milliseconds; who asks is about to end, and does not wait long. */
const RESET_TIMEOUT_MS = 5_000;

/** The service unit of systemd that a process with this `/proc/<pid>/cgroup` belongs to; null for none. */
export function unitIn(cgroup: string): string | null {
  for (const line of cgroup.split('\n')) {
    const unit = /\/([A-Za-z0-9:_.@\\-]+\.service)$/.exec(line)?.[1];
    if (unit !== undefined) return unit;
  }
  return null;
}

/** Has systemd count the starts of a unit anew. Never rejects: without it the limit is only nearer. */
export async function resetStarts(unit: string, systemctl = 'systemctl'): Promise<void> {
  const command = [systemctl, '--no-ask-password', 'reset-failed', '--', unit];
  await runCommand(command, { timeoutMs: RESET_TIMEOUT_MS }).catch(() => undefined);
}

/**
 * The same for the unit of this process; nothing where systemd does not run it. One that ends on purpose,
 * for another version to start, must not leave that one without a start.
 */
export async function resetOwnStarts(): Promise<void> {
  let unit: string | null = null;
  try {
    if (existsSync('/run/systemd/system')) unit = unitIn(readFileSync('/proc/self/cgroup', 'utf8'));
  } catch {
    // Without /proc nobody can tell.
  }
  if (unit !== null) await resetStarts(unit);
}
