import type { Crowd } from './crowd.js';
import { LiveMemory } from './live-memory.js';
import { LiveNode } from './live-node.js';
import type { Order, Told } from './orders.js';
import { noNumbers, type NodeFact, type NodeState, type Report } from './tally.js';
import { Wheel } from './wheel.js';

/** How often the process of the display hears of this one. */
const REPORT_MS = 250;
const FLOOD_TURN_MS = 20;

const add = (counts: Record<string, number>, name: string): void =>
  void (counts[name] = (counts[name] ?? 0) + 1);

/** The nodes of one process. */
export class Worker {
  readonly #tell: (told: Told) => void;
  readonly #wheel = new Wheel();
  readonly #numbers = noNumbers();
  readonly #reasons: Record<string, number> = {};
  readonly #errors: Record<string, number> = {};
  #nodes: readonly LiveNode[] = [];
  #timer: NodeJS.Timeout | null = null;
  #flood: NodeJS.Timeout | null = null;

  constructor(tell: (told: Told) => void) {
    this.#tell = tell;
  }

  take(order: Order): void {
    switch (order.order) {
      case 'begin':
        this.#begin(order);
        break;
      case 'connect':
        for (const [at, node] of this.#nodes.entries())
          node.connect((1_000 * at) / order.perSecond);
        break;
      case 'disconnect':
        for (const node of this.#nodes) {
          if (order.share >= 1 || node.luck() < order.share) node.disconnect();
        }
        break;
      case 'calm':
        for (const node of this.#nodes) node.calm();
        break;
      case 'flood':
        this.#startFlood(order);
        break;
      case 'stop':
        this.#stop();
        break;
    }
  }

  #begin(order: Extract<Order, { order: 'begin' }>): void {
    const crowd: Crowd = {
      ...order,
      wheel: this.#wheel,
      numbers: this.#numbers,
      memoryOf: (id) => (order.keepIn === undefined ? null : new LiveMemory(order.keepIn, id)),
      reason: (what) => {
        add(this.#reasons, what);
      },
      error: (code) => {
        add(this.#errors, code);
      },
    };
    this.#nodes = order.nodes.map((seed) => new LiveNode(seed, crowd));
    this.#timer = setInterval(() => {
      this.#report();
    }, REPORT_MS);
    this.#tell({ told: 'ready' });
  }

  #report(): void {
    const states: Record<NodeState, number> = { idle: 0, waiting: 0, connecting: 0, connected: 0 };
    const nodes: Record<NodeFact, number> = {
      ...{ came_back: 0, upgraded: 0, failed: 0, rolled_back: 0, refused: 0 },
    };
    const [phases, versions]: Record<string, number>[] = [{}, {}];
    let backlog = 0;
    for (const node of this.#nodes) {
      states[node.state] += 1;
      backlog += node.backlog;
      for (const fact of node.facts) nodes[fact] += 1;
      for (const { machine, seed } of node.services) {
        add(phases as Record<string, number>, machine.state.job?.phase ?? 'idle');
        add(
          versions as Record<string, number>,
          `${seed.product} ${machine.state.current?.version ?? 'none'}`,
        );
      }
    }
    const report: Report = {
      numbers: { ...this.#numbers },
      reasons: { ...this.#reasons },
      errors: { ...this.#errors },
      phases: phases as Record<string, number>,
      versions: versions as Record<string, number>,
      ...{ states, nodes, backlog },
    };
    this.#tell({ told: 'report', report });
  }

  /** Spread over time and nodes: a burst would be cut off by the limit of each link. */
  #startFlood({ what, perSecond, forMs }: Extract<Order, { order: 'flood' }>): void {
    const texts = this.#nodes.map((node) => floodText(what, node));
    const untilMs = performance.now() + forMs;
    const perTurn = (perSecond * this.#nodes.length * FLOOD_TURN_MS) / 1_000;
    let owed = 0;
    let at = 0;
    let turnAt = performance.now();
    this.#flood = setInterval(() => {
      const now = performance.now();
      if (now > untilMs && this.#flood !== null) clearInterval(this.#flood);
      owed += (perTurn * Math.min(5 * FLOOD_TURN_MS, now - turnAt)) / FLOOD_TURN_MS;
      turnAt = now;
      for (; owed >= 1; owed -= 1) {
        this.#nodes[at]?.repeat(texts[at] ?? '');
        at = (at + 1) % this.#nodes.length;
      }
    }, FLOOD_TURN_MS);
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#flood !== null) clearInterval(this.#flood);
    this.#report();
    for (const node of this.#nodes) node.stop();
    this.#wheel.stop();
    process.disconnect();
  }
}

/** Events are always the same batch: only its first copy is stored, the others are echoes. */
const floodText = (what: 'health' | 'events', node: LiveNode): string =>
  what === 'health'
    ? node.healthText()
    : JSON.stringify({
        type: 'events',
        spool_id: node.spoolId,
        events: [
          {
            seq: 1,
            at: new Date().toISOString(),
            type: 'service_healthy',
            category: 'service',
            severity: 'info',
            service: node.services[0]?.seed.name ?? null,
            command_id: null,
            message: 'the service answers again after it did not for a while',
            details: { checks: 3, error_code: null },
          },
        ],
      });
