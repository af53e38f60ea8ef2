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

/**
 * Has what ran before the job run again; with nothing before it, nothing runs. Where that version is gone,
 * what `current` leads to stays and runs as well as it can, and this rejects. Needs no room on the disk.
 */
export async function bringBack(job: Job, root: InstallRoot, { driver }: Parts): Promise<void> {
  if (job.from !== null && !(await root.isThere(job.from.version))) {
    const current = await root.linked('current');
    if (current !== null && (await root.isThere(current))) await driver.start();
    throw new Error(`${root.versionPath(job.from.version)} is gone`);
  }
  await driver.stop();
  await root.linkBack(job.from?.version ?? null);
  if (job.from !== null) await driver.start();
}

/** The same, and the link behind it. */
export async function restore(job: Job, root: InstallRoot, parts: Parts): Promise<void> {
  await bringBack(job, root, parts);
  await root.link('previous', job.from_previous?.version ?? null);
}
