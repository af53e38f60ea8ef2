import { randomBytes } from 'node:crypto';
import { FleetError } from '../../core/kernel/index.js';
import {
  revocationOf,
  revokedMessage,
  trustedIndexes,
  type NodePolicy,
} from '../../core/release/index.js';
import {
  FRESH_WATCH,
  step,
  wayBack,
  type Input,
  type Machine,
  type UpdateState,
} from '../../core/update/index.js';
import type { ServiceConfig, ServiceDriver } from '../supervisor/index.js';
import { lockRoot } from './damage.js';
import { NO_FAULTS } from './faults.js';
import { InstallRoot } from './install-root.js';
import { restore } from './swap.js';
import { factsOf } from './translate.js';
import type { UpdaterOptions } from './updater-options.js';

interface Offline extends Pick<UpdaterOptions, 'clock' | 'emit'> {
  readonly service: ServiceConfig;
  readonly driver: ServiceDriver;
  /** Null when it cannot be read: then no index counts, as everywhere. */
  readonly policy: NodePolicy | null;
}

/**
 * Goes back to the version before while no agent runs: the same steps and the same files as in the agent,
 * so an agent that starts later goes on wherever this was cut, and tells the manager. The caller holds
 * the lock of the agent. Finishes a rollback that an agent began and could not end. Throws FleetError;
 * then nothing was changed.
 */
export async function rollBackOffline(offline: Offline): Promise<string> {
  const unlock = lockRoot(offline.service.root);
  try {
    return await rollBack(offline);
  } finally {
    unlock();
  }
}

async function rollBack(offline: Offline): Promise<string> {
  const { service, driver, clock, policy } = offline;
  const root = new InstallRoot(service.root);
  await root.prepare();
  const names = { service: service.name, product: service.product, variant: service.variant };
  const { state } = await root.loadState(names);
  let machine: Machine = { state, watch: FRESH_WATCH };
  const take = async (input: Input): Promise<void> => {
    machine = step(machine, input, factsOf(clock, policy));
    await root.saveState(machine.state);
  };
  await take({ type: 'booted', current: await root.linked('current') });
  const links = await root.found();
  if (links !== null) await take({ type: 'links_found', ...links });
  await refuseWithoutWay(machine.state, root, policy);
  const id = `hand_${randomBytes(10).toString('hex')}`;
  await take({ type: 'rollback_by_hand', id });
  const { job } = machine.state;
  if (job === null) throw new FleetError('internal_error', 'the rollback did not begin');
  await driver.adopt();
  try {
    await restore(job, root, { driver, faults: NO_FAULTS });
  } catch (error) {
    const message = `it does not work yet: ${String(error)}`;
    await take({ type: 'rollback_failed', message });
    throw new FleetError('upgrade_rollback_failed', message, { cause: error });
  } finally {
    driver.release();
  }
  await take({ type: 'rolled_back' });
  await offline.emit(service.name, machine.state.outbox);
  await take({ type: 'spooled', ids: machine.state.outbox.map((event) => event.id) });
  return `${job.version} was turned back to ${job.from?.version ?? 'nothing'}`;
}

async function refuseWithoutWay(
  state: UpdateState,
  root: InstallRoot,
  policy: NodePolicy | null,
): Promise<void> {
  if (state.job?.phase === 'rolling_back') return;
  const way = wayBack(state);
  if (!way.ok) throw new FleetError(way.error.code, way.error.message);
  const { to } = way.value;
  if (to === null) return;
  const { version, sha256 = null } = to;
  const revoked = revocationOf(trustedIndexes(policy, state.indexes ?? {}), { version, sha256 });
  if (revoked !== null) throw new FleetError('upgrade_revoked', revokedMessage(version, revoked));
  if (await root.isWhole(version)) return;
  const message = `${root.versionPath(version)} is gone or not whole`;
  throw new FleetError('nothing_to_go_back_to', message);
}
