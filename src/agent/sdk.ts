import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from '../core/kernel/index.js';
import type { ServiceReport } from '../protocol/node/index.js';
import { run } from './run.js';
import { ServiceConfig } from './supervisor/index.js';
import { NO_FAULTS } from './updater/index.js';

export { enroll, type Enrollment } from './enroll.js';
export { FleetError } from '../core/kernel/index.js';

/** A service that does not say how it is within this time is not well. */
const IS_WELL_TIMEOUT_MS = 10_000;

export interface SelfUpgradeOptions {
  /** Where `enroll` left identity and `agent.toml`; the spool lies here too. One process at a time. */
  readonly dir: string;
  /** Install root of this service, absolute: `current`, `previous`, `versions`, `policy.toml`. */
  readonly root: string;
  readonly product: string;
  /** How the manager shows it; the product when not given. */
  readonly name?: string;
  readonly variant?: string;
  /**
   * Whether this service does what it is for. Asked every few seconds, and more often while a new
   * version has to prove itself. No, a rejection, and no answer in ten seconds are the same.
   */
  readonly isWell: () => boolean | Promise<boolean>;
  /**
   * Ends this process in an orderly way. Called once, when the links have moved: whoever keeps
   * this process running starts `current` then. SIGTERM to this process when not given.
   */
  readonly restart?: () => void;
  /** For `HTTPS_PROXY` and `NO_PROXY`, such as `process.env`; `agent.toml` can say the same. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard error when not given. */
  readonly log?: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export interface SelfUpgrade {
  /** What the manager is told: version, phase, last outcome. */
  status(): ServiceReport;
  /** Says goodbye, ends link and updater. Idempotent. An upgrade under way goes on at the next start. */
  stop(): Promise<void>;
}

/**
 * The agent as a part of a service that upgrades itself: the same link, the same verification under
 * a local policy, the same way back. Resolves when the link is being opened; the manager need not be
 * there. Throws FleetError `config_invalid` or `conflict` (another process has `dir`).
 *
 * What it cannot do is outlive its service. A version that crashes or is not well is turned back
 * here, by the next start of the same version; one that hangs, or that ends before it comes as far
 * as this call, needs what keeps it running to do so: under systemd that is the watchdog and the
 * rollback unit that come with the agent (`deploy/systemd`).
 */
export async function openSelfUpgrade(options: SelfUpgradeOptions): Promise<SelfUpgrade> {
  const { dir, root, product, name = product, variant, isWell, log } = options;
  const parsed = ServiceConfig.safeParse({
    driver: 'self',
    ...{ name, product, root },
    ...(variant === undefined ? {} : { variant }),
  });
  if (!parsed.success) {
    const problems = parsed.error.issues.map((one) => `${one.path.join('.')}: ${one.message}`);
    throw new FleetError('config_invalid', problems.join('; '));
  }
  const agent = await run({
    dir,
    faults: NO_FAULTS,
    ...(options.env === undefined ? {} : { env: options.env }),
    own: {
      service: parsed.data,
      isWell: () => verdictOf(isWell),
      restart: options.restart ?? (() => void process.kill(process.pid, 'SIGTERM')),
    },
    ...(log === undefined ? {} : { log }),
  });
  return {
    status: () => {
      const report = agent.reports().find((one) => one.name === name);
      if (report === undefined) throw new FleetError('conflict', `${root} cannot be looked after`);
      return report;
    },
    stop: () => agent.stop(false),
  };
}

async function verdictOf(isWell: SelfUpgradeOptions['isWell']): Promise<boolean> {
  const stop = new AbortController();
  const late = sleep(IS_WELL_TIMEOUT_MS, false, { signal: stop.signal, ref: false });
  try {
    return await Promise.race([Promise.resolve().then(isWell), late]);
  } catch {
    return false;
  } finally {
    stop.abort();
    late.catch(() => undefined);
  }
}
