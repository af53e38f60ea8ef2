import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NodeSeed, Order, Told } from './orders.js';
import { sumOf, type Report } from './tally.js';

/** Sockets of one process: descriptors are limited, often to 20 000, and one processor has to serve them. */
export const NODES_PER_WORKER_MAX = 10_000;

type Begin = Omit<Extract<Order, { order: 'begin' }>, 'order' | 'nodes'>;

/** The processes that play the nodes, as one. */
export class Crew {
  readonly #children: ChildProcess[] = [];
  readonly #reports = new Map<ChildProcess, Report>();
  #dead: string | null = null;
  #isStopping = false;
  readonly size: number;

  private constructor(size: number) {
    this.size = size;
  }

  /** Starts them and tells each its nodes; nothing is connected yet. */
  static async start(begin: Begin, nodes: readonly NodeSeed[], workers: number): Promise<Crew> {
    const crew = new Crew(nodes.length);
    const count = Math.max(1, workers, Math.ceil(nodes.length / NODES_PER_WORKER_MAX));
    const program = fileURLToPath(new URL('main.js', import.meta.url));
    await Promise.all(
      Array.from({ length: Math.min(count, nodes.length) }, async (_, index) => {
        const share = nodes.filter((_node, at) => at % count === index);
        const child = fork(program, ['--worker'], { serialization: 'advanced', execArgv: [] });
        crew.#children.push(child);
        child.on('exit', (code, signal) => {
          if (!crew.#isStopping) crew.#dead = `a worker ended with ${signal ?? code ?? 'nothing'}`;
        });
        const ready = new Promise<void>((resolve, reject) => {
          child.on('error', reject);
          child.on('message', (told: Told) => {
            if (told.told === 'ready') resolve();
            else crew.#reports.set(child, told.report);
          });
        });
        child.send({ order: 'begin', ...begin, nodes: share } satisfies Order);
        await ready;
      }),
    );
    return crew;
  }

  get processIds(): readonly number[] {
    return this.#children.flatMap(({ pid }) => pid ?? []);
  }

  /** Throws when a process has died: its nodes are gone, so what follows would be wrong. */
  report(): Report {
    if (this.#dead !== null) throw new Error(this.#dead);
    return sumOf(this.#reports.values());
  }

  tell(order: Order): void {
    for (const child of this.#children) if (child.connected) child.send(order);
  }

  connect(perSecond: number): void {
    this.tell({ order: 'connect', perSecond: Math.max(1, perSecond / this.#children.length) });
  }

  /** Idempotent. Ends the processes; one that does not end by itself is ended. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.tell({ order: 'stop' });
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
        await once(child, 'exit');
        clearTimeout(timer);
      }),
    );
  }
}
