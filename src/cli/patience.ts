import { FleetError } from '../core/kernel/index.js';
import type { Terminal } from './terminal.js';

/** Between two tries. */
const TRY_EVERY_MS = 1_000;
/** Tries that may fail in a row, while a manager is restarted for instance, before we give up. */
const FAILED_TRIES_MAX = 60;

/** Reads again while the manager does not answer. For reading only: never repeats what changes something. */
export async function patiently<T>(look: () => Promise<T>, terminal: Terminal): Promise<T> {
  for (let failed = 1; ; failed += 1) {
    try {
      return await look();
    } catch (error) {
      const code = error instanceof FleetError ? error.code : '';
      const passes = code === 'manager_unreachable' || code === 'unavailable';
      if (!passes || failed > FAILED_TRIES_MAX) throw error;
      if (failed === 1) terminal.err('the manager does not answer; still trying\n');
      await terminal.sleep(TRY_EVERY_MS);
    }
  }
}
