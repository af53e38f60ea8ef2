import type { Input, Job, Machine } from '../../../core/update/index.js';
import type { NodeEvent, UpgradeBinary } from '../../../protocol/node/index.js';
import { isOver, limitOf } from '../../../core/rollout/index.js';
import type { EventCheck } from './event-checks.js';
import { findRollout, type Database } from '../parts.js';
import type { NodeWatcher, SimNode } from '../nodes/sim-node.js';
import { isHeld, isMeant, readHolds, type GroupPaths, type Holds } from './truth.js';
import { must } from './violation.js';
import { WatchedRollout } from './watched-rollout.js';

interface CommandRow {
  readonly row: number;
  readonly id: string;
  readonly node_id: string;
  readonly rollout_id: string;
  readonly generation: number;
  readonly payload: string;
}

interface EventRow {
  readonly id: number;
  readonly node_id: string;
  readonly type: string;
  readonly command_id: string | null;
  readonly message: string;
  readonly details: string;
  readonly occurred_at: number | null;
}

interface SeenCommand {
  readonly rolloutId: string;
  readonly at: number;
}

const NOTHING: Holds = { modes: new Map(), freezes: [] };

/** Looks at everything after every step, and throws a `Violation` at the first thing that is wrong. */
export class Watch implements NodeWatcher {
  readonly rollouts = new Map<string, WatchedRollout>();
  readonly nodes = new Map<string, SimNode>();
  /** What was reached: a simulator in which nothing happens finds nothing. */
  readonly deeds = new Map<string, number>();
  readonly #database: Database;
  readonly #paths: GroupPaths;
  readonly #now: () => number;
  readonly #leaseMs: number;
  readonly #say: (who: string, what: string) => void;
  readonly #commands = new Map<string, SeenCommand>();
  readonly #granted = new Set<string>();
  readonly #generations = new Map<string, number>();
  /** Of each node's spool, how many events the log holds. */
  readonly #stored = new Map<string, number>();
  #holds: Holds = NOTHING;
  #holdsBefore: Holds = NOTHING;
  #lastCommand = 0;
  #lastEvent = 0;
  /** Length of all journals together. */
  #journal = 0;

  constructor(
    database: Database,
    options: {
      readonly paths: GroupPaths;
      readonly now: () => number;
      readonly leaseMs: number;
      readonly say: (who: string, what: string) => void;
    },
  ) {
    this.#database = database;
    this.#paths = options.paths;
    this.#now = options.now;
    this.#leaseMs = options.leaseMs;
    this.#say = options.say;
  }

  say(who: string, what: string): void {
    this.#say(who, what);
  }

  /** After a step in which the manager committed something. True when it was more than a heartbeat. */
  async look(): Promise<boolean> {
    const before = `${this.#lastCommand} ${this.#lastEvent} ${this.#journal}`;
    this.#holdsBefore = this.#holds;
    this.#holds = await readHolds(this.#database);
    await this.#lookAtRollouts();
    await this.#lookAtCommands();
    await this.#lookAtEvents();
    return before !== `${this.#lastCommand} ${this.#lastEvent} ${this.#journal}`;
  }

  count(deed: string): void {
    this.deeds.set(deed, (this.deeds.get(deed) ?? 0) + 1);
  }

  /** Every event that a node still had to tell is in the log, once. */
  everythingIsTold(): void {
    for (const node of this.nodes.values()) {
      const { spool } = node.disk;
      must(
        'every_event_is_stored_once',
        this.#storedOf(node.options.id) === spool.all.length,
        () => `${node.name}: ${this.#storedOf(node.options.id)} of ${spool.all.length}`,
      );
    }
  }

  took(node: SimNode, before: Machine, input: Input): void {
    const { job, outcome } = node.machine.state;
    if (outcome !== null && outcome !== before.state.outcome) this.count(`node ${outcome.result}`);
    if (input.type !== 'upgrade' || job?.command_id !== input.order.command_id) return;
    if (before.state.job?.command_id === job.command_id) return;
    const { generation, expires_at_ms } = input.order;
    must(
      'no_older_command_is_obeyed',
      generation >= before.state.generation,
      () =>
        `${node.name} begins ${job.command_id} of generation ${generation} after ${before.state.generation}`,
    );
    must(
      'no_expired_command_is_obeyed',
      expires_at_ms > node.facts().nowMs,
      () => `${node.name} begins ${job.command_id}`,
    );
  }

  /** A swap begins only under a permit that was granted for it, in time, while nothing newer is known. */
  swapBegins(node: SimNode, job: Job): void {
    const now = this.#now();
    const { permit } = node;
    this.count('swaps');
    this.say(node.name, `swaps to ${job.version} for ${job.command_id}`);
    const isOwn = permit?.commandId === job.command_id;
    must(
      'no_swap_without_a_permit',
      isOwn && this.#granted.has(job.command_id),
      () => `${node.name} swaps for ${job.command_id}`,
    );
    const rollout = this.rollouts.get(this.#commands.get(job.command_id)?.rolloutId ?? '');
    must('no_swap_of_a_stranger', rollout !== undefined, () => job.command_id);
    must(
      'no_swap_after_the_lease',
      now <= permit.sentAt + this.#leaseMs,
      () => `${node.name} swaps ${now - permit.sentAt} ms after its permit was given`,
    );
    this.#limit(rollout);
    const { stoppedAt } = rollout;
    if (stoppedAt === null) return;
    must(
      'no_permit_after_pause_or_cancel',
      permit.sentAt <= stoppedAt,
      () => `${node.name} got a permit ${permit.sentAt - stoppedAt} ms after the stop`,
    );
  }

  /** The manager counts what it knows; this counts what is. */
  #limit({ meta, folded, targets }: WatchedRollout): void {
    const limit = folded.plan.maxUnavailable;
    // In one that is over late nodes count until their deadline only, whatever they do then.
    if (limit === null || isOver(folded.status)) return;
    const most = limitOf(limit, targets.size);
    const down = [...targets.keys()].filter((id) => {
      const phase = this.nodes.get(id)?.machine.state.job?.phase ?? 'idle';
      return ['swapping', 'probation', 'rolling_back'].includes(phase);
    });
    must(
      'limit_on_nodes_that_swap',
      down.length <= most,
      () => `${meta.id}: ${down.join(' ')} of at most ${most}`,
    );
  }

  #storedOf(nodeId: string): number {
    return this.#stored.get(nodeId) ?? 0;
  }

  async #lookAtRollouts(): Promise<void> {
    const rows = await this.#database.read.all<{ id: string; journal_length: number }>(
      'SELECT id, journal_length FROM rollouts ORDER BY created_at, id',
    );
    this.#journal = rows.reduce((sum, row) => sum + row.journal_length, 0);
    for (const { id, journal_length } of rows) {
      let seen = this.rollouts.get(id);
      if (seen?.length === journal_length) continue;
      const stored = await findRollout(this.#database.read, id);
      if (stored === null) continue;
      seen ??= await WatchedRollout.see(this.#database, stored);
      this.rollouts.set(id, seen);
      await seen.follow(this.#database, stored, this.#checkOf(seen));
      await this.#claims(seen);
    }
  }

  #checkOf(rollout: WatchedRollout): EventCheck {
    const pathOf = (groupId: string): readonly string[] => this.#paths.get(groupId) ?? [];
    return {
      isHeld: (groupId, at) =>
        isHeld(this.#holds, pathOf(groupId), at) && isHeld(this.#holdsBefore, pathOf(groupId), at),
      groupOf: (nodeId) => this.nodes.get(nodeId)?.options.groupId ?? '',
      hasSucceeded: (nodeId, commandId, version) => {
        const node = this.nodes.get(nodeId);
        return (
          node?.outcomes.get(commandId ?? '') === 'succeeded' ||
          node?.settledOn.has(version) === true
        );
      },
      happened: (type) => this.count(type),
      granted: (nodeId, commandId) => {
        this.count('permits');
        this.say(
          'manager',
          `grants ${nodeId} a permit for ${commandId ?? ''} of ${rollout.meta.id}`,
        );
        if (commandId !== null) this.#granted.add(commandId);
      },
    };
  }

  /** A node is in one active rollout a service: each that runs holds all its targets. */
  async #claims({ meta, folded, targets }: WatchedRollout): Promise<void> {
    const rows = await this.#database.read.all<{ node_id: string }>(
      'SELECT node_id FROM active_targets WHERE rollout_id = ?',
      [meta.id],
    );
    const wanted = isOver(folded.status) ? 0 : targets.size;
    must(
      'a_node_is_in_one_active_rollout',
      rows.length === wanted,
      () => `${meta.id} is ${folded.status} and holds ${rows.length} of ${targets.size} nodes`,
    );
  }

  async #lookAtCommands(): Promise<void> {
    const rows = await this.#database.read.all<CommandRow>(
      `SELECT rowid AS row, id, node_id, rollout_id, generation, payload FROM commands
       WHERE rowid > ? ORDER BY rowid`,
      [this.#lastCommand],
    );
    for (const command of rows) {
      this.#lastCommand = command.row;
      this.#commands.set(command.id, { rolloutId: command.rollout_id, at: this.#now() });
      this.#lookAtCommand(command);
    }
    if (rows.length === 0) return;
    const doubled = await this.#database.read.get<{ node_id: string }>(
      `SELECT node_id FROM commands WHERE status <> 'closed' GROUP BY node_id HAVING COUNT(*) > 1`,
    );
    must('one_open_command_a_node', doubled === undefined, () => JSON.stringify(doubled));
  }

  #lookAtCommand({ id, node_id, rollout_id, generation, payload }: CommandRow): void {
    const node = this.nodes.get(node_id);
    const rollout = this.rollouts.get(rollout_id);
    const { action } = JSON.parse(payload) as UpgradeBinary;
    this.count(action);
    this.say('manager', `gives ${node?.name ?? node_id} ${action} ${id} of ${rollout_id}`);
    const isKnown = node !== undefined && rollout?.targets.has(node_id) === true;
    must('no_command_to_a_stranger', isKnown, () => `${id} to ${node_id}`);
    const { scope } = rollout.meta;
    const { groupId, labels } = node.options;
    must(
      'no_offer_outside_the_scope',
      isMeant(scope, { id: node_id, groupId, labels }, this.#paths),
      () => `${id} to ${node.name} of ${rollout_id}`,
    );
    const last = this.#generations.get(node_id) ?? 0;
    must('generations_rise', generation > last, () => `${id}: ${generation} after ${last}`);
    this.#generations.set(node_id, generation);
  }

  async #lookAtEvents(): Promise<void> {
    const rows = await this.#database.read.all<EventRow>(
      `SELECT id, node_id, type, command_id, message, details, occurred_at FROM events
       WHERE id > ? ORDER BY id`,
      [this.#lastEvent],
    );
    for (const row of rows) {
      must('the_log_has_no_gap', row.id === this.#lastEvent + 1, () => `${row.id}`);
      this.#lastEvent = row.id;
      const details = JSON.parse(row.details) as { to_seq?: number };
      if (row.type === 'events_lost') this.#stored.set(row.node_id, details.to_seq ?? 0);
      else if (row.occurred_at !== null) this.#storedOnce(row, row.occurred_at);
    }
  }

  /** The log holds the events of each spool in order, none twice, none left out. */
  #storedOnce(row: EventRow, at: number): void {
    const stored = this.#storedOf(row.node_id);
    const next: NodeEvent | undefined = this.nodes.get(row.node_id)?.disk.spool.all[stored];
    const isNext =
      next?.type === row.type &&
      next.command_id === row.command_id &&
      next.message === row.message &&
      Date.parse(next.at) === at;
    must(
      'every_event_is_stored_once',
      isNext,
      () =>
        `${row.node_id}: ${row.type} of ${row.command_id ?? ''} is not number ${stored + 1} of its spool`,
    );
    this.#stored.set(row.node_id, stored + 1);
  }
}
