import { readFileSync } from 'node:fs';

/**
 * When a process began, in clock ticks since boot: tells it from a later one with the same number. Null
 * when there is no such process (any more), or where there is no /proc.
 */
export function bornAt(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not looked yet.
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
