import { randomUUID, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { OutboxEvent } from '../core/update/index.js';
import { GENERATION_MAX, type Goodbye, type ServiceReport } from '../protocol/node/index.js';
import { isErrorCode } from '../protocol/index.js';
import { AuditMemory, proofFetcher } from './audit-memory.js';
import { readConfig, readIdentity, type AgentConfig, type Identity } from './config.js';
import { openClock } from './runtime/clock.js';
import { bootId, describeHost, freeBytes } from './host.js';
import { HttpFetcher, Link, MANAGER_ONLY, type LinkState, type Reach } from './link/index.js';
import { noteLink } from './link-note.js';
import { holdLock } from './lock.js';
import { makeLog, type Log } from './log.js';
import { obey, ownerOf } from './obey.js';
import { forgetNode } from './operator/forget.js';
import { operate } from './operator/operate.js';
import { LocalServer } from './operator/server.js';
import { withOwn, type OwnService } from './own-service.js';
import { policyDigest, PolicyFile } from './policy-file.js';
import { reachFrom } from './reach-config.js';
import { ServiceSet } from './service-set.js';
import { DropBook, Spool, toSpoolEvent } from './report/index.js';
import { openNotifier, type Notifier } from './sd-notify.js';
import { openDriver, SelfDriver, type ServiceConfig } from './supervisor/index.js';
import { Updater, type Faults } from './updater/index.js';
import { AGENT_VERSION } from './version.js';

/** What this agent can do; the manager offers nothing else. */
const CAPABILITIES = ['upgrade'];
/** A service that could not be taken over (a read-only root, say) is tried again this often. */
const REOPEN_MS = 30_000;

export interface RunOptions {
  readonly dir: string;
  readonly faults: Faults;
  /** `HTTPS_PROXY` and `NO_PROXY`; what `agent.toml` says holds before them. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** For specs: how often channel indexes are looked for. */
  readonly indexRefreshMs?: number;
  /** For specs: the bound of the event spool on the disk. */
  readonly spoolBytesMax?: number;
  /** The process that this runs in, as a service besides those of `agent.toml`. */
  readonly own?: OwnService;
  /** Called after `decommission`: there is nothing left to run for. */
  readonly onLeft?: () => void;
  /** Standard error, at the level of the configuration, when not given. */
  readonly log?: Log;
}

export interface RunningAgent {
  /** What is told to the manager of each service. */
  reports(): readonly ServiceReport[];

  /** Goodbye, then the link, then the updaters. Idempotent. Services go on unless told otherwise. */
  stop(withServices: boolean): Promise<void>;
}

/**
 * The whole agent: an updater for each service, one spool, one link. Only one may run on a
 * directory. Resolves when the services are looked after and the link is being opened; the manager
 * need not be there. Throws FleetError `config_invalid` or `conflict`, and errors of the file
 * system.
 */
export async function run(options: RunOptions): Promise<RunningAgent> {
  const { dir } = options;
  const config = withOwn(await readConfig(dir), options.own);
  const reach = await reachFrom(dir, config, options.env ?? {});
  const { identity, key } = await readIdentity(dir);
  const log = options.log ?? makeLog(config.log_level);
  const notifier = openNotifier(log);
  const unlock = holdLock(dir);
  try {
    const drops = new DropBook();
    const spool = await Spool.open(join(dir, 'spool'), {
      log,
      ...(options.spoolBytesMax === undefined ? {} : { bytesMax: options.spoolBytesMax }),
      onDropped: (dropped) => {
        drops.note(dropped);
      },
    });
    const parts = { ...options, log, config, identity, key, spool, drops, reach, notifier };
    const agent = new Agent(parts);
    await agent.start();
    let stopped: Promise<void> | null = null;
    return {
      reports: () => agent.reports(),
      stop: (withServices) => {
        stopped ??= agent.stop(withServices).finally(unlock);
        return stopped;
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

interface Parts extends RunOptions {
  readonly log: Log;
  readonly config: AgentConfig;
  readonly identity: Identity;
  readonly key: KeyObject;
  readonly spool: Spool;
  readonly notifier: Notifier;
  readonly drops: DropBook;
  readonly reach: Reach;
}

const CLOCK = openClock();

/** Ties the parts together; holds no rule of its own. */
class Agent {
  readonly #parts: Parts;
  readonly #link: Link;
  readonly #updaters: Updater[] = [];
  readonly #policies: { readonly service: string; readonly file: PolicyFile }[];
  readonly #sets: readonly { readonly services: readonly string[]; readonly set: ServiceSet }[];
  readonly #retries = new Set<NodeJS.Timeout>();
  #isStopping = false;
  #hasLeft = false;
  #linkState: LinkState | null = null;
  #local: LocalServer | null = null;
  #ending: Promise<void> | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { config, identity, key, spool, log } = parts;
    this.#policies = config.services.map((service) => ({
      service: service.name,
      file: new PolicyFile(service.root, (digest) => {
        void this.#tellPolicyChanged(service.name, digest);
      }),
    }));
    this.#sets = config.sets.map(({ name, services }) => {
      const file = join(parts.dir, `set-${name}.json`);
      const { faults } = parts;
      const set = new ServiceSet({ name, services, file, clock: CLOCK, faults, log });
      return { services, set };
    });
    const memory = this.#auditMemory();
    this.#link = new Link({
      manager: config.manager,
      managerUrls: config.manager_urls,
      transport: config.transport,
      reach: parts.reach,
      nodeId: identity.node_id,
      key,
      spool,
      clock: CLOCK,
      random: Math.random,
      log,
      hello: async () => ({
        agent_version: AGENT_VERSION,
        boot_id: bootId(),
        host: describeHost(config.labels),
        services: this.reports(),
        capabilities: CAPABILITIES,
        policy_digest: await policyDigest(this.#policies),
        generation: this.#generation(),
      }),
      health: async () => {
        // Looking is what finds a changed policy, or switch, while no upgrade asks for it.
        await policyDigest(this.#policies);
        for (const updater of this.#updaters) await updater.byHand({ do: 'reload' });
        return { services: this.reports(), disk_free_bytes: await freeBytes(parts.dir) };
      },
      onCommand: (command) => obey(this.#updaters, command),
      onPermit: ({ command_id, ask, lease_ms }) => {
        const input = { type: 'permit_granted', command_id, ask, lease_ms } as const;
        this.#tell(ownerOf(this.#updaters, command_id)?.hear(input));
      },
      onPermitDenied: ({ command_id, ask, retry_after_ms: retry_ms }) => {
        const input = { type: 'permit_denied', command_id, ask, retry_ms } as const;
        this.#tell(ownerOf(this.#updaters, command_id)?.hear(input));
      },
      onIndexNews: ({ product, channel }) => {
        for (const updater of this.#updaters) updater.indexNews(product, channel);
      },
      onCheckpoint: (note) => void memory.heard(note),
      onState: (state, news) => {
        this.#linkState = state;
        if (!this.#hasLeft) noteLink(parts.dir, { state, news }, CLOCK.now());
        if (state !== 'connected') return;
        void this.#tellDropped(true);
        for (const updater of this.#updaters) this.#tell(updater.hear({ type: 'linked' }));
      },
      onSetBack: () => this.#tellSpoolRecovered('the manager knows newer events than the spool'),
    });
  }

  #auditMemory(): AuditMemory {
    const { dir, config, identity, key, reach, log } = this.#parts;
    return new AuditMemory({
      dir,
      verifierKey: config.audit_key ?? null,
      fetchProof: proofFetcher({
        manager: config.manager,
        origin: () => this.#link.origin,
        reach,
        nodeId: identity.node_id,
        key,
        now: CLOCK.now,
      }),
      report: (event) => this.#emitOwn(null, event),
      log,
    });
  }

  async start(): Promise<void> {
    const { spool, config, identity, log } = this.#parts;
    if (spool.recovered !== null) await this.#tellSpoolRecovered(spool.recovered);
    this.#parts.notifier.starting();
    // At once: one whose supervisor answers slowly does not keep the others waiting.
    await Promise.all(config.services.map((service) => this.#openService(service)));
    this.#link.start();
    await this.#takeCommands();
    this.#parts.notifier.ready(() => this.#inWords());
    log('agent started', { node_id: identity.node_id, manager: config.manager });
  }

  /** Idempotent: the first reason counts. */
  stop(withServices: boolean, reason: Goodbye['reason'] = withServices ? 'shutdown' : 'restart') {
    this.#ending ??= this.#end(withServices, reason);
    return this.#ending;
  }

  async #end(withServices: boolean, reason: Goodbye['reason']): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#retries) clearTimeout(timer);
    void this.#parts.notifier.stopping();
    await this.#local?.close();
    await this.#link.stop(reason);
    await Promise.all(this.#updaters.map((updater) => updater.stop(withServices)));
    await this.#tellDropped(true);
    await this.#parts.spool.close();
    this.#parts.log('agent stopped');
  }

  /** Of people on this machine; the agent runs without them, too. */
  async #takeCommands(): Promise<void> {
    const { dir, log, onLeft } = this.#parts;
    this.#local = await LocalServer.open(
      dir,
      (request) =>
        operate(request, {
          updaters: () => this.#updaters,
          link: () => this.#linkState,
          hurry: () => this.#link.hurry(),
          tellHealth: () => this.#link.tellHealth(),
          leave: async (withServices) => {
            this.#hasLeft = true;
            await this.stop(withServices, 'decommission');
            await forgetNode(dir);
            // Once the answer is on its way.
            setTimeout(() => onLeft?.(), 100);
          },
        }),
      log,
    );
  }

  /** One service that cannot be opened must not take the others with it. */
  async #openService(service: ServiceConfig): Promise<void> {
    const { log } = this.#parts;
    try {
      this.#updaters.push(await this.#openUpdater(service));
      const { services } = this.#parts.config;
      const placeOf = ({ name }: Updater): number => services.findIndex((one) => one.name === name);
      this.#updaters.sort((a, b) => placeOf(a) - placeOf(b));
    } catch (error) {
      log('a service cannot be looked after; trying again', {
        service: service.name,
        error: String(error),
        next_try_ms: REOPEN_MS,
      });
      const timer = setTimeout(() => {
        this.#retries.delete(timer);
        if (!this.#isStopping) void this.#openService(service);
      }, REOPEN_MS);
      this.#retries.add(timer);
    }
  }

  async #openUpdater(service: ServiceConfig): Promise<Updater> {
    const { config, identity, key, faults, log, indexRefreshMs, reach, own } = this.#parts;
    const isOwn = service === own?.service;
    const { os, arch } = describeHost({});
    const file = this.#policyOf(service.name);
    const set = this.#sets.find(({ services }) => services.includes(service.name))?.set;
    return Updater.open({
      service,
      nodeId: identity.node_id,
      host: { os, arch },
      policy: () => file.read(),
      trust: () => file.trust(),
      fetcher: new HttpFetcher({
        manager: config.manager,
        nodeId: identity.node_id,
        key,
        allowPlaintext: config.allow_plaintext,
        // A policy that cannot be read allows nothing but the manager.
        delivery: async () => {
          const policy = await file.read();
          return policy.ok ? policy.value : MANAGER_ONLY;
        },
        reach,
        managerOrigin: () => this.#link.origin,
        now: CLOCK.now,
      }),
      driver: isOwn ? new SelfDriver(service.root, own.restart) : openDriver(service),
      ...(isOwn ? { isWell: own.isWell } : {}),
      clock: CLOCK,
      emit: (name, events) => this.#emit(name, events),
      askPermit: (wanted) => {
        this.#link.askPermit(wanted);
      },
      faults,
      log,
      ...(set === undefined ? {} : { set }),
      ...(indexRefreshMs === undefined ? {} : { indexRefreshMs }),
    });
  }

  #policyOf(service: string): PolicyFile {
    const found = this.#policies.find((one) => one.service === service);
    return found?.file ?? new PolicyFile('/nonexistent');
  }

  /** The highest that any service has seen: the numbers are those of the node. */
  #generation(): number {
    const seen = Math.max(0, ...this.#updaters.map(({ generation }) => generation));
    return Math.min(seen, GENERATION_MAX);
  }

  /** For the line of `systemctl status`. */
  #inWords(): string {
    const services = this.#updaters.map((updater) => {
      const { name, version, phase } = updater.report();
      return `${name} ${version ?? 'none'}${phase === 'idle' ? '' : ` (${phase})`}`;
    });
    const missing = this.#parts.config.services.length - services.length;
    return [...services, ...(missing > 0 ? [`${missing} cannot be looked after`] : [])].join(', ');
  }

  /** A code of another version of the agent would make the whole message unusable. */
  reports(): ServiceReport[] {
    return this.#updaters.map((updater) => {
      const report = updater.report();
      const { outcome } = report;
      const code = outcome?.error_code ?? null;
      if (outcome === null || code === null || isErrorCode(code)) return report;
      return { ...report, outcome: { ...outcome, error_code: 'internal_error' } };
    });
  }

  /** Durable when it resolves; the link sends it when it can. */
  async #emit(service: string | null, events: readonly OutboxEvent[]): Promise<void> {
    const { spool, log } = this.#parts;
    const fitting = events.flatMap((event) => {
      const fitted = toSpoolEvent(service, event);
      if (fitted === null) log('an event cannot be told', { error: event.type, id: event.id });
      return fitted === null ? [] : [{ id: event.id, event: fitted }];
    });
    await spool.append(fitting);
    this.#link.pump();
    await this.#tellDropped(false);
  }

  async #emitOwn(service: string | null, event: Pick<OutboxEvent, OwnPart>): Promise<void> {
    const at = new Date(CLOCK.now()).toISOString();
    try {
      await this.#emit(service, [{ id: `agent:${randomUUID()}`, at, command_id: null, ...event }]);
    } catch (error) {
      this.#parts.log('an event cannot be stored', { type: event.type, error: String(error) });
    }
  }

  #tellPolicyChanged(service: string, digest: string): Promise<void> {
    const isValid = digest !== 'invalid';
    return this.#emitOwn(service, {
      type: 'policy_changed',
      severity: isValid ? 'warning' : 'critical',
      message: isValid
        ? `The local policy of ${service} was changed`
        : `The local policy of ${service} cannot be read; every upgrade is refused`,
      details: { policy_digest: digest, ...(isValid ? {} : { error_code: INVALID_POLICY }) },
    });
  }

  /** It takes room itself, which may drop more: that waits for the next time. */
  async #tellDropped(isLastCall: boolean): Promise<void> {
    const event = this.#parts.drops.take(CLOCK.monotonicMs(), isLastCall);
    if (event !== null) await this.#emitOwn(null, event);
  }

  #tellSpoolRecovered(what: string): Promise<void> {
    return this.#emitOwn(null, {
      type: 'spool_recovered',
      severity: 'critical',
      message: `The event spool was mended: ${what}`,
      details: { error_code: 'events_lost' },
    });
  }

  /** What cannot be used now is asked for, or said, again: nothing more to do. */
  #tell(told: Promise<void> | undefined): void {
    told?.catch((error: unknown) => {
      this.#parts.log('what the link said could not be used', { error: String(error) });
    });
  }
}

type OwnPart = 'type' | 'severity' | 'message' | 'details';
const INVALID_POLICY = 'upgrade_policy_invalid';
