import { mkdir } from 'node:fs/promises';
import type { UpdateState } from '../../core/update/index.js';
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

/** Makes the install root of a service and reads what is known of it; a damaged state is rebuilt, and told. */
export async function openRoot(
  options: UpdaterOptions,
): Promise<{ readonly root: InstallRoot; readonly state: UpdateState }> {
  const { name, product, variant, root: path } = options.service;
  await mkdir(path, { recursive: true, mode: 0o755 });
  const root = new InstallRoot(path);
  await root.prepare();
  const { state, damage } = await root.loadState({ service: name, product, variant });
  if (damage !== null) await tellDamage(options, { root, state, damage });
  return { root, state };
}
