import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { OutboxEvent } from '../core/update/index.js';
import {
  Command,
  CommandEnvelope,
  type NodeEvent,
  type NodeMessage,
} from '../protocol/node/index.js';
import type { ErrorCode } from '../protocol/index.js';
import type { z } from 'zod';
import { readConfig, readIdentity, requireSafeUrl, type AgentConfig } from './config.js';
import { describeHost } from './enroll.js';
import { HttpFetcher, Link, type SpooledNodeEvent } from './link/index.js';
import { log } from './log.js';
import { policyDigest, readPolicy } from './policy-file.js';
import { Spool } from './report/index.js';
import { ChildProcessDriver } from './supervisor/index.js';
import { holdLock } from './lock.js';
import { Updater, type Faults } from './updater/index.js';
import { AGENT_VERSION } from './version.js';

/** What this agent can do; the manager offers nothing else. */
const CAPABILITIES = ['upgrade'];

export interface RunningAgent {
  stop(withServices: boolean): Promise<void>;
}

/**
 * The whole agent: an updater for each service, one spool, one link. Only one may run on a
 * directory. Resolves when services are looked after and the link is being opened.
 */
export async function run(dir: string, faults: Faults): Promise<RunningAgent> {
  const config = await readConfig(dir);
  const { identity, key } = await readIdentity(dir);
  requireSafeUrl(config.manager, config.allow_plaintext);
  await mkdir(dir, { recursive: true });
  const unlock = holdLock(dir);
  const clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
  const spool = await Spool.open<SpooledNodeEvent>(join(dir, 'spool'));
  const fetcher = new HttpFetcher({
    manager: config.manager,
    nodeId: identity.node_id,
    key,
    allowedSources: () => allowedSources(config),
    now: clock.now,
  });
  const updaters: Updater[] = [];
  const link = new Link({
    manager: config.manager,
    nodeId: identity.node_id,
    key,
    spool,
    clock,
    random: Math.random,
    log,
    hello: async () => ({
      agent_version: AGENT_VERSION,
      boot_id: bootId(),
      host: describeHost(config.labels),
      services: updaters.map((updater) => updater.report()),
      capabilities: CAPABILITIES,
      policy_digest: await policyDigest(config.services.map((service) => service.root)),
    }),
    health: async () => ({
      services: updaters.map((updater) => updater.report()),
      disk_free_bytes: await freeBytes(dir),
    }),
    onState: (state) => {
      if (state !== 'connected') return;
      for (const updater of updaters) void updater.linked();
    },
    onCommand: (command) => obey(updaters, command),
    onPermit: (commandId, leaseMs) => {
      void ownerOf(updaters, commandId)?.permitGranted(commandId, leaseMs);
    },
    onPermitDenied: (commandId, retryMs) => {
      void ownerOf(updaters, commandId)?.permitDenied(commandId, retryMs);
    },
  });
  const emit = async (service: string | null, events: readonly OutboxEvent[]): Promise<void> => {
    await spool.append(
      events.map((event) => ({ id: event.id, event: toNodeEvent(service, event) })),
    );
    link.pump();
  };
  if (spool.recovered !== null) await emit(null, [spoolRecovered(spool.recovered)]);
  const { os, arch } = describeHost({});
  for (const service of config.services) {
    updaters.push(
      await Updater.open({
        service,
        host: { os, arch },
        policy: () => readPolicy(service.root),
        fetcher,
        driver: new ChildProcessDriver(service),
        clock,
        emit,
        askPermit: ({ commandId, service: name, version }) => {
          link.askPermit(commandId, name, version);
        },
        faults,
        log,
      }),
    );
  }
  link.start();
  log('agent started', { node: identity.node_id, manager: config.manager });
  return {
    stop: async (withServices) => {
      await link.stop(withServices ? 'shutdown' : 'restart');
      for (const updater of updaters) await updater.stop(withServices);
      await spool.close();
      unlock();
    },
  };
}

const ownerOf = (updaters: readonly Updater[], commandId: string): Updater | undefined =>
  updaters.find((updater) => updater.knows(commandId));

/** A command to its service, and the answer for the manager. */
async function obey(
  updaters: readonly Updater[],
  envelope: z.infer<typeof CommandEnvelope>,
): Promise<NodeMessage> {
  const { command_id, action } = envelope;
  const reject = (error_code: ErrorCode, message: string): NodeMessage => ({
    type: 'reject',
    command_id,
    error_code,
    message: message.slice(0, 1_000),
  });
  const parsed = Command.safeParse(envelope);
  if (!parsed.success) {
    const isKnown = action === 'upgrade_binary' || action === 'withdraw';
    const issue = parsed.error.issues[0];
    return isKnown
      ? reject('command_invalid', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
      : reject('command_unknown_action', `this agent does not know ${action}`);
  }
  const command = parsed.data;
  const updater =
    command.action === 'withdraw'
      ? ownerOf(updaters, command.withdraws)
      : updaters.find((one) => one.name === command.service);
  if (updater === undefined) {
    // Withdrawing what never came is done already.
    if (command.action === 'withdraw') return { type: 'ack', command_id, result: 'accepted' };
    return reject('command_unknown_service', `no service ${command.service} on this node`);
  }
  const answer = await updater.command(command);
  if (!answer.ok) return reject(answer.code, answer.message);
  return { type: 'ack', command_id, result: answer.isDuplicate ? 'duplicate' : 'accepted' };
}

const categoryOf = (type: string): NodeEvent['category'] => {
  if (type.startsWith('upgrade_')) return 'upgrade';
  return type.startsWith('service_') ? 'service' : 'agent';
};

const toNodeEvent = (service: string | null, event: OutboxEvent): SpooledNodeEvent => ({
  at: event.at,
  type: event.type as NodeEvent['type'],
  category: categoryOf(event.type),
  severity: event.severity,
  service,
  command_id: event.command_id,
  message: event.message.slice(0, 2_000),
  details: event.details,
});

const spoolRecovered = (message: string): OutboxEvent => ({
  id: `spool:${randomUUID()}`,
  at: new Date().toISOString(),
  type: 'spool_recovered',
  severity: 'critical',
  command_id: null,
  message,
  details: { error_code: 'events_lost' },
});

async function allowedSources(config: AgentConfig): Promise<readonly string[]> {
  const sources: string[] = [];
  for (const service of config.services) {
    const policy = await readPolicy(service.root);
    if (policy.ok) sources.push(...policy.value.sources);
  }
  return sources;
}

async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize;
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
