import type { Job } from '../../core/update/index.js';
import type { ServiceDriver } from '../supervisor/index.js';
import type { Faults } from './faults.js';
import type { InstallRoot } from './install-root.js';

interface Parts {
  readonly driver: ServiceDriver;
  readonly faults: Faults;
}

/** Stops the service, moves the links, starts what is new. Can be begun again at every step. */
export async function swapTo(
  job: Job,
  root: InstallRoot,
  { driver, faults }: Parts,
): Promise<void> {
  await driver.stop();
  faults.hit('after-service-stopped');
  await root.link('previous', job.from?.version ?? null);
  faults.hit('after-link-previous');
  await root.link('current', job.version);
  faults.hit('after-link-current');
  await driver.start();
  faults.hit('after-service-started');
}

/** Brings back what ran before the job; with nothing before it, nothing runs. */
export async function restore(job: Job, root: InstallRoot, { driver }: Parts): Promise<void> {
  await driver.stop();
  await root.link('current', job.from?.version ?? null);
  await root.link('previous', job.from_previous?.version ?? null);
  if (job.from !== null) await driver.start();
}
