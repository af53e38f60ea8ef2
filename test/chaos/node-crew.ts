import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeSeed, Order, Told } from '../../src/simulator/live/orders.js';
import { readKept, type Kept } from '../../src/simulator/live/live-memory.js';
import { sumOf, type Report } from '../../src/simulator/live/tally.js';

/** Who waits for the next try waits for a minute at most. */
const CONNECT_MS_MAX = 90_000;

type Begin = Omit<Extract<Order, { order: 'begin' }>, 'order' | 'nodes'>;

/** The processes that play nodes; each can be killed, and its nodes boot with what lay on their disks. */
export class NodeCrew {
  readonly #begin: Begin & { readonly keepIn?: string };
  readonly #shares: readonly (readonly NodeSeed[])[];
  readonly #children: (ChildProcess | null)[] = [];
  readonly #reports = new Map<number, Report>();
  readonly #program: string;

  constructor(
    programs: string,
    begin: Begin & { readonly keepIn?: string },
    nodes: readonly NodeSeed[],
    workers: number,
  ) {
    this.#program = join(programs, 'simulator', 'live', 'main.js');
    this.#begin = begin;
    this.#shares = Array.from({ length: workers }, (_, index) =>
      nodes.filter((_node, at) => at % workers === index),
    );
  }

  get workers(): number {
    return this.#shares.length;
  }

  async start(index: number): Promise<void> {
    const child = fork(this.#program, ['--worker'], { serialization: 'advanced', execArgv: [] });
    this.#children[index] = child;
    const ready = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`a worker ended with ${code ?? 'a signal'}`)));
      child.on('message', (told: Told) => {
        if (told.told === 'ready') resolve();
        else this.#reports.set(index, told.report);
      });
    });
    ready.catch(() => undefined);
    const tell = (order: Order): void => void child.send(order);
    tell({ order: 'begin', ...this.#begin, nodes: this.#shares[index] ?? [] });
    await ready;
    tell({ order: 'connect', perSecond: 200 });
  }

  /** As a power cut does. */
  async kill(index: number): Promise<void> {
    const child = this.#children[index];
    this.#children[index] = null;
    this.#reports.delete(index);
    if (child === undefined || child === null || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Cuts links at once, as a switch that dies. */
  disconnect(share: number): void {
    for (const child of this.#children) child?.send({ order: 'disconnect', share } satisfies Order);
  }

  /** Resolves when all are connected and have nothing to tell; throws when that takes too long. */
  async allConnected(): Promise<void> {
    const count = this.#shares.reduce((sum, share) => sum + share.length, 0);
    const untilMs = performance.now() + CONNECT_MS_MAX;
    for (;;) {
      await sleep(200);
      const { states, backlog } = this.report();
      if (states.connected >= count && backlog === 0) return;
      if (performance.now() < untilMs) continue;
      throw new Error(
        `${states.connected} of ${count} nodes are connected, ${backlog} events wait`,
      );
    }
  }

  report(): Report {
    return sumOf(this.#reports.values());
  }

  async stop(): Promise<void> {
    await Promise.all(this.#shares.map((_, index) => this.kill(index)));
  }

  /** What lies on the disk of a node. Whole only while its process does not run, or is killed. */
  keptBy(nodeId: string): Kept | null {
    return readKept(join(this.#begin.keepIn ?? '', `${nodeId}.json`));
  }
}
