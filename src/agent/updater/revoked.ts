import type { NodePolicy } from '../../core/release/index.js';
import type { IndexInput, UpdateState } from '../../core/update/index.js';
import type { ServiceDriver } from '../supervisor/index.js';
import type { Channels } from './channels.js';
import type { InstallRoot } from './install-root.js';

type RevokedInput = Extract<IndexInput, { type: 'revoked' }>;

/**
 * What is done about a revoked version that is installed; null when there is none, or nothing (more)
 * to do. Goes back to the previous version if that one may run: the links lead there when this
 * resolves, and the caller makes it known and starts it. Otherwise it stops the service where the
 * policy says so. Can be begun again at every step. In the middle of a swap or a rollback nothing is
 * done: both end soon, and nothing revoked is started by them.
 */
export async function endRevoked(
  state: UpdateState,
  policy: NodePolicy | null,
  parts: {
    readonly root: InstallRoot;
    readonly channels: Channels;
    readonly driver: ServiceDriver;
  },
): Promise<RevokedInput | null> {
  const { root, channels, driver } = parts;
  const { current, previous, job } = state;
  const revocation = current === null ? null : channels.revocationOf(current.version);
  const isMoving = job?.phase === 'swapping' || job?.phase === 'rolling_back';
  if (current === null || revocation === null || isMoving) return null;
  const input = (done: RevokedInput['done']): RevokedInput => ({
    type: 'revoked',
    revocation,
    done,
  });
  // The machine itself turns it back, to what ran before.
  if (job?.phase === 'probation') return input('alerted');
  if (previous !== null && channels.revocationOf(previous.version) === null) {
    await driver.stop();
    await root.link('current', previous.version);
    await root.link('previous', null);
    return input('back');
  }
  const isToStop = policy?.on_revoked === 'stop';
  if (isToStop && driver.status().running) await driver.stop();
  if (state.revoked_told === current.version) return null;
  // An agent that is revoked itself runs on: nobody else could bring a better one.
  return input(isToStop && !driver.status().running ? 'stopped' : 'alerted');
}
