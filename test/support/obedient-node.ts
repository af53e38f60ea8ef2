import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeEvent, NodeEventType, UpgradeBinary } from '../../src/protocol/node/index.js';
import { Database } from '../../src/server/platform/database/index.js';
import { makeMigratedPostgres, makeTempDir } from './databases.js';
import { makeSigningKey, publish } from './fleet.js';
import { aHost, startTestManager, type TestManager } from './manager.js';
import { aService, connectNode, type NodeLink } from './node-link.js';

type End = 'upgrade_completed' | 'upgrade_rolled_back';

/** A node that does as it is told, over its real link, at the pace of the spec. */
export class ObedientNode {
  #seq = 0;

  constructor(readonly link: NodeLink) {}

  get id(): string {
    return this.link.nodeId;
  }

  /** Says that something happened; resolves when the manager has it. */
  async tell(type: NodeEventType, command: UpgradeBinary, code?: string): Promise<void> {
    const event: NodeEvent = {
      seq: (this.#seq += 1),
      at: new Date().toISOString(),
      type,
      category: 'upgrade',
      severity: code === undefined ? 'info' : 'critical',
      service: command.service,
      command_id: command.command_id,
      message: type,
      details:
        code === undefined
          ? type === 'upgrade_completed'
            ? { to_version: command.version }
            : {}
          : { error_code: code },
    };
    this.link.send({ type: 'events', spool_id: 'spl_000001', events: [event] });
    const { through } = await this.link.next('events_ack');
    if (through !== this.#seq) throw new Error(`${through} events are stored of ${this.#seq}`);
  }

  /** Takes its next command and stages it. */
  async stage(): Promise<UpgradeBinary> {
    const message = await this.link.next('command');
    if (message.command.action !== 'upgrade_binary') return this.stage();
    const command = message.command as UpgradeBinary;
    this.link.send({ type: 'ack', command_id: command.command_id, result: 'accepted' });
    await this.tell('upgrade_started', command);
    await this.tell('upgrade_staged', command);
    return command;
  }

  /** Asks once whether it may swap: null when it may, otherwise the reason why not. */
  async ask({ command_id, service, version }: UpgradeBinary): Promise<string | null> {
    this.link.send({ type: 'permit_request', ask: 1, command_id, service, version });
    const { link } = this;
    while (link.waiting('permit') + link.waiting('permit_denied') === 0) await sleep(2);
    if (link.waiting('permit') === 0) return (await link.next('permit_denied')).reason;
    await link.next('permit');
    return null;
  }

  /** Takes its next command and ends it as wanted. */
  async obey(end: End = 'upgrade_completed'): Promise<void> {
    await this.finish(await this.stage(), end);
  }

  /** Swaps what is staged, and ends as wanted. */
  async finish(command: UpgradeBinary, end: End = 'upgrade_completed'): Promise<void> {
    const denied = await this.ask(command);
    if (denied !== null) throw new Error(`no permit: ${denied}`);
    await this.tell('upgrade_probation', command);
    await this.tell(end, command, end === 'upgrade_rolled_back' ? 'upgrade_unhealthy' : undefined);
  }
}

/** A whole manager with releases of `edge` in it, and nodes that obey. */
export interface RolloutManager extends TestManager {
  join(
    groupId: string,
    name: string,
    node?: { readonly version?: string; readonly labels?: Readonly<Record<string, string>> },
  ): Promise<ObedientNode>;
  /** The tables as they are, past the API. */
  readonly database: Database;
}

export async function startRolloutManager(options: {
  readonly kind?: 'sqlite' | 'postgres';
  readonly versions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}): Promise<RolloutManager> {
  const { kind = 'sqlite', versions = ['1.0.0', '1.1.0'], env = {} } = options;
  const postgres = kind === 'postgres' ? await makeMigratedPostgres() : null;
  const manager = await startTestManager({
    ...env,
    ...(postgres === null ? {} : { DATABASE_URL: postgres.url }),
  });
  const dir = makeTempDir();
  const key = makeSigningKey();
  for (const [index, version] of versions.entries()) {
    await publish(manager, { folder: dir.path, version, sequence: index + 1, key });
  }
  dir.remove();
  const links: NodeLink[] = [];

  return {
    ...manager,
    database: manager.manager.app.get(Database),
    join: async (groupId, name, { version = '1.0.0', labels = {} } = {}) => {
      const link = await connectNode(manager, await manager.node(groupId, name), {
        host: { ...aHost(name), labels: { ...labels } },
        services: [aService({ version })],
      });
      links.push(link);
      return new ObedientNode(link);
    },
    stop: async () => {
      for (const link of links) await link.close();
      await manager.stop();
      await postgres?.drop();
    },
  };
}
