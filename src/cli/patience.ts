import { FleetError } from '../core/kernel/index.js';
import type { Terminal } from './terminal.js';

/** Between two tries. */
const TRY_EVERY_MS = 1_000;
/** Tries that may fail in a row, while a manager is restarted for instance, before we give up. */
const FAILED_TRIES_MAX = 60;

/** Reads again while the manager does not answer. For reading only: never repeats what changes something. */
export const patiently = <T>(look: () => Promise<T>, terminal: Terminal): Promise<T> =>
  again(look, terminal, {
    codes: ['manager_unreachable', 'unavailable', 'manager_busy'],
    says: 'the manager does not answer; still trying\n',
  });

/** Asks again while the manager is too busy to begin: nothing of the answer has come by then. */
export const onceItMay = <T>(begin: () => Promise<T>, terminal: Terminal): Promise<T> =>
  again(begin, terminal, {
    codes: ['manager_busy'],
    says: 'the manager is busy and lets exports wait; still trying\n',
  });

async function again<T>(
  look: () => Promise<T>,
  terminal: Terminal,
  passing: { readonly codes: readonly string[]; readonly says: string },
): Promise<T> {
  for (let failed = 1; ; failed += 1) {
    try {
      return await look();
    } catch (error) {
      const passes = error instanceof FleetError && passing.codes.includes(error.code);
      if (!passes || failed > FAILED_TRIES_MAX) throw error;
      if (failed === 1) terminal.err(passing.says);
      await terminal.sleep(TRY_EVERY_MS);
    }
  }
}
