import { DAY_MS, durationInWords, HOUR_MS, MINUTE_MS } from '../../core/kernel/index.js';
import { isOver } from '../../core/rollout/index.js';
import { Agenda } from './agenda.js';
import { Chance, seedIds } from './chance.js';
import { Faults, type FaultKind } from './faults.js';
import { Fleet } from './nodes/fleet.js';
import { isWanted, Lives } from './lives.js';
import { LEASE_MS, type Manager } from './manager.js';
import type { MortalDatabase, WorldDatabase } from './mortal-database.js';
import type { Mutant } from './mutant.js';
import { isUsual, Operators } from './operators.js';
import { PATHS, scenarioOf, type Scenario } from './scenario.js';
import { seedCatalog } from './catalog.js';
import { Violation } from './checks/violation.js';
import { Watch } from './checks/watch.js';

const T0 = Date.UTC(2026, 2, 2, 9);
const HELP_MS = 10 * MINUTE_MS;
/** Without faults and with helpful operators every rollout is over by then. */
const END_MS = 12 * DAY_MS;
const STEPS_MAX = 200_000;

export interface WorldOptions {
  readonly seed: string;
  readonly database: WorldDatabase;
  readonly mutant?: Mutant | null;
  /** Keeps what happened; costs time, so a failed run is run again for it. */
  readonly hasHistory?: boolean;
}

export interface WorldResult {
  readonly seed: string;
  readonly steps: number;
  readonly rollouts: number;
  readonly virtualMs: number;
  readonly faults: ReadonlyMap<FaultKind, number>;
  /** What was reached. */
  readonly deeds: ReadonlyMap<string, number>;
  readonly violation: Violation | null;
  readonly history: readonly string[];
}

/** One world from its seed to its end. */
export async function runWorld(options: WorldOptions): Promise<WorldResult> {
  const release = seedIds(new Chance(`${options.seed}/ids`));
  try {
    await options.database.reset();
    return await new World(options).run();
  } finally {
    release();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class World {
  readonly #options: WorldOptions;
  readonly #agenda = new Agenda(T0);
  readonly #chance: Chance;
  readonly #scenario: Scenario;
  readonly #faults: Faults;
  readonly #watch: Watch;
  readonly #fleet: Fleet;
  readonly #operators: Operators;
  readonly #history: string[] = [];
  readonly #lives: Lives;
  #steps = 0;
  /** What was committed when it was last looked at. */
  #seen: { readonly database: MortalDatabase | null; readonly commits: number } = {
    database: null,
    commits: 0,
  };
  #lastNewsAt = T0;

  constructor(options: WorldOptions) {
    this.#options = options;
    const chance = new Chance(options.seed);
    this.#chance = chance;
    this.#scenario = scenarioOf(chance);
    this.#faults = new Faults(chance, chance.pick([0, 0.2, 0.4, 0.7]));
    const { real } = options.database;
    const say = (who: string, what: string): void => {
      this.#say(who, what);
    };
    const now = (): number => this.#agenda.now;
    this.#watch = new Watch(real, { paths: PATHS, now, leaseMs: LEASE_MS, say });
    this.#lives = new Lives({
      agenda: this.#agenda,
      chance,
      faults: this.#faults,
      database: real,
      mutant: options.mutant ?? null,
      lastNewsAt: () => this.#lastNewsAt,
      say: (what) => {
        this.#say('manager', what);
      },
    });
    this.#fleet = new Fleet({
      agenda: this.#agenda,
      chance,
      faults: this.#faults,
      scenario: this.#scenario,
      database: real,
      watcher: this.#watch,
      mutant: options.mutant ?? null,
      connect: (link, wire) => this.#lives.connect(link, wire),
      toManager: () => {
        this.#lives.touch();
      },
    });
    this.#operators = new Operators({
      chance,
      watch: this.#watch,
      now,
      say: (what) => {
        this.#say('operators', what);
      },
    });
  }

  async run(): Promise<WorldResult> {
    let violation: Violation | null = null;
    try {
      await this.#begin();
      await this.#phase(T0 + this.#scenario.chaosMs, () => false);
      await this.#calm();
      const end = this.#agenda.now + END_MS;
      await this.#phase(end, () => this.#isOver());
      if (!this.#isOver()) throw new Violation('when_faults_stop_it_ends', this.#unfinished());
      this.#atTheEnd();
    } catch (error) {
      violation =
        error instanceof Violation
          ? error
          : new Violation(
              'no_unexpected_error',
              error instanceof Error ? (error.stack ?? error.message) : String(error),
            );
      this.#say('simulator', violation.message);
    }
    this.#lives.database.die();
    await turn();
    return {
      seed: this.#options.seed,
      steps: this.#steps,
      rollouts: this.#watch.rollouts.size,
      virtualMs: this.#agenda.now - T0,
      faults: this.#faults.counts,
      deeds: this.#watch.deeds,
      violation,
      history: this.#history,
    };
  }

  async #begin(): Promise<void> {
    const { nodes, latecomers, badness } = this.#scenario;
    this.#say(
      'world',
      `${nodes} nodes; faults: ${this.#faults.kinds.join(' ')}; bad: ${JSON.stringify([...badness])}`,
    );
    await seedCatalog(this.#options.database.real, T0);
    for (let i = 0; i < nodes; i += 1) await this.#enroll();
    await this.#lives.start();
    for (let i = 0; i < latecomers; i += 1) {
      this.#agenda.in(this.#chance.spread(60_000, HOUR_MS), () => this.#enroll());
    }
    this.#fleet.trouble();
    // Once everybody has said hello, as far as faults let them.
    for (let i = 0; i < this.#scenario.firstRollouts; i += 1) {
      const ms = 30_000 + i * this.#chance.spread(1_000, HOUR_MS);
      this.#agenda.in(ms, () => this.#operate((manager) => this.#operators.create(manager)));
    }
    this.#actLater();
  }

  async #enroll(): Promise<void> {
    const node = await this.#fleet.enroll();
    this.#watch.nodes.set(node.options.id, node);
  }

  async #phase(until: number, isDone: () => boolean): Promise<void> {
    while (this.#steps < STEPS_MAX && !isDone()) {
      const next = this.#agenda.take(until);
      if (next === null) return;
      await this.#step(next.work);
    }
  }

  async #step(work: () => void | Promise<void>): Promise<void> {
    this.#steps += 1;
    const done = work();
    if (done !== undefined) {
      this.#lives.isTouched = true;
      await done;
    }
    if (!this.#lives.isTouched) return;
    this.#lives.isTouched = false;
    do await turn();
    while (this.#lives.database.running > 0);
    if (this.#lives.error !== null) throw this.#lives.error;
    const { database } = this.#lives;
    if (database === this.#seen.database && database.commits === this.#seen.commits) return;
    this.#seen = { database, commits: database.commits };
    if (await this.#watch.look()) this.#lastNewsAt = this.#agenda.now;
  }

  #actLater(): void {
    const ms = this.#scenario.verbEveryMs * (0.2 + 1.6 * this.#chance.next());
    this.#agenda.in(ms, async () => {
      if (!this.#faults.isOn) return;
      await this.#operate((manager) => this.#operators.act(manager));
      this.#actLater();
    });
  }

  async #operate(work: (manager: Manager) => Promise<void>): Promise<void> {
    if (this.#lives.manager === null) return;
    this.#lives.touch();
    try {
      await work(this.#lives.manager);
    } catch (error) {
      if (!isWanted(error) && !isUsual(error)) throw error;
      this.#say('operators', `get: ${(error as Error).message}`);
    }
  }

  /** Faults stop; operators help. */
  async #calm(): Promise<void> {
    this.#say('world', 'faults stop');
    this.#faults.stop();
    this.#lives.database.spare();
    await this.#step(() => {
      this.#fleet.recover();
    });
    await this.#step(() => this.#lives.start());
    await this.#step(() => this.#operate((manager) => this.#operators.allowAll(manager)));
    this.#helpLater();
  }

  #helpLater(): void {
    this.#agenda.in(HELP_MS, async () => {
      await this.#operate((manager) => this.#operators.help(manager));
      this.#helpLater();
    });
  }

  #isOver(): boolean {
    const { rollouts, nodes } = this.#watch;
    for (const { folded } of rollouts.values()) if (!isOver(folded.status)) return false;
    for (const { machine, disk } of nodes.values()) {
      if (machine.state.job !== null || disk.spool.backlog > 0) return false;
    }
    return true;
  }

  #unfinished(): string {
    const { rollouts, nodes } = this.#watch;
    const open = [...rollouts.values()]
      .filter(({ folded }) => !isOver(folded.status))
      .map(
        ({ meta, folded }) =>
          `${meta.id} is ${folded.status}: ${folded.reason} ${JSON.stringify(folded.waves)}`,
      );
    const busy = [...nodes.values()]
      .filter(({ machine, disk }) => machine.state.job !== null || disk.spool.backlog > 0)
      .map(
        ({ name, machine, disk }) =>
          `${name} is at ${machine.state.job?.phase ?? 'rest'}, ${disk.spool.backlog} untold`,
      );
    return `after ${durationInWords(END_MS)} and ${this.#steps} steps: ${[...open, ...busy].join('; ')}`;
  }

  #atTheEnd(): void {
    this.#watch.everythingIsTold();
    for (const { name, machine, disk, options } of this.#watch.nodes.values()) {
      const version = machine.state.current?.version ?? null;
      if (version !== disk.current) {
        throw new Violation(
          'the_link_is_what_the_state_says',
          `${name}: ${disk.current ?? ''} and ${version ?? ''}`,
        );
      }
      if (version === null || !options.isGood(version)) {
        throw new Violation('a_node_runs_one_good_version', `${name} runs ${version ?? 'nothing'}`);
      }
    }
  }

  #say(who: string, what: string): void {
    if (this.#options.hasHistory !== true) return;
    const ms = this.#agenda.now - T0;
    const clock = new Date(ms).toISOString().slice(11, 23);
    this.#history.push(`day ${Math.floor(ms / DAY_MS) + 1} ${clock}  ${who.padEnd(10)} ${what}`);
  }
}
