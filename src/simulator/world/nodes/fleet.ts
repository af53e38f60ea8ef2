import { step as realStep, type InstalledVersion } from '../../../core/update/index.js';
import type { NodeMessage } from '../../../protocol/node/index.js';
import type { Agenda } from '../agenda.js';
import type { Chance } from '../chance.js';
import type { Faults } from '../faults.js';
import type { Mutant } from '../mutant.js';
import { NodeLink, type NodeLinkOptions } from './node-link.js';
import { newId, Nodes, type Database } from '../parts.js';
import { GROUPS, labelsOf, ROOT_GROUP, type Scenario } from '../scenario.js';
import { SimNode, type NodeWatcher } from './sim-node.js';
import type { Wire } from './wire.js';

const INSTALLED: InstalledVersion = {
  version: '1.0.0',
  channel: 'stable',
  sequence: 1,
  state_schema: null,
};
/** How often something may befall some node. */
const TROUBLE_EVERY_MS = 20_000;
/** So many of its last messages a lying node remembers. */
const ECHOES = 20;

export interface FleetOptions {
  readonly agenda: Agenda;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly scenario: Scenario;
  readonly database: Database;
  readonly watcher: NodeWatcher;
  readonly mutant: Mutant | null;
  /** Lets a socket in; false when there is no manager. */
  readonly connect: (link: NodeLink, wire: Wire) => boolean;
  readonly toManager: () => void;
}

interface Member {
  readonly node: SimNode;
  readonly link: NodeLink;
  readonly sent: NodeMessage[];
}

/** All nodes of a world, and what befalls them. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #members: Member[] = [];

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get nodes(): readonly SimNode[] {
    return this.#members.map(({ node }) => node);
  }

  /** A new node, known to the manager, that will soon say hello. */
  async enroll(): Promise<SimNode> {
    const { agenda, chance, database } = this.#options;
    const node = this.#make();
    const { id, name, groupId, labels } = node.options;
    const host = node.hello(null).host;
    await database.transaction((tx) =>
      new Nodes(database).create(tx, {
        id,
        name,
        groupId,
        publicKey: 'k'.repeat(43),
        host: { ...host, labels: { ...labels } },
        now: agenda.now,
      }),
    );
    const sent: NodeMessage[] = [];
    const link = new NodeLink({
      ...this.#network(),
      node,
      onSent: (_, message) => {
        sent.push(message);
        if (sent.length > ECHOES) sent.shift();
      },
    });
    this.#members.push({ node, link, sent });
    link.start(chance.int(0, 2_000));
    return node;
  }

  /** From time to time something befalls one of them. */
  trouble(): void {
    const { agenda, chance, faults } = this.#options;
    if (!faults.isOn) return;
    this.#befall(chance.pick(this.#members));
    agenda.in(TROUBLE_EVERY_MS * (0.5 + chance.next()), () => {
      this.trouble();
    });
  }

  /** All is well again, everywhere. */
  recover(): void {
    for (const { node, link } of this.#members) {
      node.recover();
      link.recover();
    }
  }

  #network(): Omit<NodeLinkOptions, 'node' | 'onSent'> {
    const { agenda, chance, faults, connect, toManager } = this.#options;
    return { agenda, chance, faults, connect, toManager };
  }

  #make(): SimNode {
    const { agenda, chance, faults, scenario, watcher, mutant } = this.#options;
    const good = new Map(
      [...scenario.badness].map(([version, share]) => [version, !chance.hit(share)]),
    );
    return new SimNode({
      id: newId('nod'),
      name: `node-${this.#members.length + 1}`,
      groupId: chance.pick([ROOT_GROUP, ...GROUPS]),
      labels: labelsOf(chance),
      installed: INSTALLED,
      isGood: (version) => good.get(version) ?? true,
      healthWindowMs: chance.pick([10_000, 60_000, 120_000]),
      manualOnly: chance.hit(scenario.manualOnly),
      agenda,
      faults,
      chance,
      watcher,
      step: mutant?.step?.(realStep) ?? realStep,
    });
  }

  /** Faults here are as likely as `Faults` says each time that a node is looked at. */
  #befall(member: Member): void {
    const { agenda, chance, faults } = this.#options;
    const { node, link, sent } = member;
    const often = (kind: Parameters<Faults['hit']>[0]): boolean => faults.hit(kind);
    if (often('node_hang')) link.hang(chance.spread(1_000, 600_000));
    if (often('node_away')) link.goAway(chance.spread(10_000, 6 * 3_600_000));
    if (often('node_crash')) node.crash();
    if (often('node_clock_wrong')) {
      const days = chance.pick([0.01, 3]);
      node.clockErrorMs = Math.round(chance.pick([-1, 1]) * days * 86_400_000 * chance.next());
      node.say(`has a clock that is ${node.clockErrorMs} ms off`);
    }
    if (often('disk_full')) {
      node.disk.isFull = true;
      node.say('has a full disk');
      agenda.in(chance.spread(1_000, 1_800_000), () => {
        node.disk.isFull = false;
      });
    }
    if (node.disk.spool.backlog > 1 && often('spool_overflow')) {
      node.say(`drops ${node.disk.spool.overflow()} events`);
    }
    if (sent.length > 0 && often('node_echo')) link.send(JSON.stringify(chance.pick(sent)));
    if (often('node_garbage')) link.send(this.#garbage(node));
  }

  /** What no honest node sends: no JSON, no schema, commands of others or of nobody. */
  #garbage(node: SimNode): string {
    const { chance } = this.#options;
    const commands = [
      ...this.#members.flatMap((one) => [...one.node.outcomes.keys()]),
      newId('cmd'),
    ];
    const command_id = chance.pick(commands);
    const isOwn = node.knows(command_id);
    node.say('sends garbage');
    return chance.pick([
      '{"type":',
      '{"type":"dance"}',
      '{"type":"ack"}',
      JSON.stringify({ type: 'ack', command_id, result: 'accepted' }),
      JSON.stringify({
        type: 'permit_request',
        command_id,
        ask: 1,
        service: 'edge',
        version: '9.9.9',
      }),
      JSON.stringify({
        type: 'reject',
        // Of its own command this would be a lie that the manager has to believe.
        command_id: isOwn ? newId('cmd') : command_id,
        error_code: 'command_invalid',
        message: 'garbage',
      }),
    ]);
  }
}
