import { mkdir } from 'node:fs/promises';
import type { UpdateState } from '../../core/update/index.js';
import { holdLock } from '../lock.js';
import { InstallRoot } from './install-root.js';
import { damageEvent } from './translate.js';
import type { UpdaterOptions } from './updater-options.js';

/** What was built anew is made durable first, then told: a crash between them finds it damaged no more. */
async function tellDamage(
  { service, log, clock, emit }: UpdaterOptions,
  { root, state, damage }: { root: InstallRoot; state: UpdateState; damage: string },
): Promise<void> {
  log('state.json was damaged and rebuilt', { service: service.name, damage });
  await root.saveState(state);
  await emit(service.name, [damageEvent(service.name, damage, clock.now())]);
}

/** In the install root: whoever names it in another directory of an agent is locked out. */
const ROOT_LOCK = 'root.lock';

/**
 * One agent, or person with `rollback`, an install root. On a disk that has no room for a lock the service
 * is looked after without. Throws FleetError `conflict`.
 */
export function lockRoot(path: string): () => void {
  try {
    return holdLock(path, ROOT_LOCK);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    return () => undefined;
  }
}

export interface Opened {
  readonly root: InstallRoot;
  readonly state: UpdateState;
  readonly unlock: () => void;
}

/**
 * Makes the install root of a service and reads what is known of it; a damaged state is rebuilt, and told.
 * Throws FleetError `conflict` while another agent has it.
 */
export async function openRoot(options: UpdaterOptions): Promise<Opened> {
  const { name, product, variant, root: path } = options.service;
  await mkdir(path, { recursive: true, mode: 0o755 });
  const unlock = lockRoot(path);
  try {
    const root = new InstallRoot(path);
    await root.prepare();
    const { state, damage } = await root.loadState({ service: name, product, variant });
    if (damage !== null) await tellDamage(options, { root, state, damage });
    return { root, state, unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}
