import { Inject, Injectable } from '@nestjs/common';
import { instant, type Instant } from '../../core/kernel/index.js';
import {
  downMax,
  hasBudget,
  isOver,
  permit,
  type Denial,
  type PermitFacts,
  type Report,
} from '../../core/rollout/index.js';
import type {
  Ack,
  Command,
  Hello,
  PermitRequest,
  Reject,
  ServiceReport,
} from '../../protocol/node/index.js';
import type { NodeEventObserver, NodeNews } from '../events/index.js';
import type {
  CommandHandler,
  NodeIdentity,
  PermitAnswer,
  UrgencySource,
  UrgentNodes,
} from '../gateway/index.js';
import {
  type Asked,
  type Clock,
  CLOCK,
  CONFIG,
  type Config,
  Database,
  type Tx,
  WORKS_PER_COMMIT_MAX,
} from '../platform/index.js';
import { meters } from '../platform/telemetry/index.js';
import { AskSlots, RETRY_MS_MAX } from './ask-slots.js';
import { commandedNodes, openCommands, type HeldCommand } from './tables/commands.store.js';
import { CommandRollouts } from './command-rollouts.js';
import { nodesInSwap } from './tables/down.store.js';
import {
  commandsIn,
  concerns,
  nodeIdOf,
  progress,
  reportOf,
  reportsOf,
  versionOf,
  type Progress,
  type Said,
} from './node-reports.js';
import { RolloutUnits, type OpenRollout, type RolloutUnit } from './rollout-units.js';
import {
  activeOf,
  type ActiveTarget,
  type StoredTarget,
  type TargetKey,
} from './tables/targets.store.js';

const RETRY_MS_MIN = 500;
/** Room comes as soon as one of those before it is through: waiting longer would make the end of a wave slow. */
const ROOM_RETRY_MS = 1_000;

/** What spares those that share a rollout a wait. */
interface Shortcuts<T> {
  /** The answer, when there is one without the work: asked before and after the rollouts are held. */
  readonly early?: (isHeld: boolean) => T | null;
  /** Sent with what holds the rollouts, so that it is there as soon as they are. */
  readonly behind?: (unit: RolloutUnit) => Promise<unknown>;
}

/** What is done about one command when its turn has come. */
type About<T> = (
  at: { readonly tx: Tx; readonly unit: RolloutUnit },
  command: HeldCommand | null,
) => Promise<T>;

/**
 * The rollouts' ear: what nodes say (events, answers, hello) becomes reports to the machine, and
 * their wish to swap an answer. Every path is safe to repeat.
 */
@Injectable()
export class NodeSide implements CommandHandler, NodeEventObserver, UrgencySource {
  readonly #rollouts = new CommandRollouts();
  /** What works are about that wait for their turn, by rollout and in their order: whoever comes first reads for the next ones. */
  readonly #asked = new Map<string, Map<string, TargetKey>>();
  readonly #slots = new AskSlots();

  /** Which rollout a command is of, what nodes say of themselves, and what they still have to hear. */
  readonly #rolloutOf: Asked<string, string | null>;
  readonly #said: Asked<Said, undefined>;
  readonly #open: Asked<string, readonly Command[]>;

  constructor(
    private readonly database: Database,
    private readonly units: RolloutUnits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#rolloutOf = database.batched(async (ids) => {
      const found = await this.#rollouts.of(database.read, ids);
      return ids.map((id) => found.get(id) ?? null);
    });
    this.#said = database.batched((said) => this.#hearAll(said));
    this.#open = database.batched((ids) => this.#openOf(ids));
  }

  /** Holds them, too: whoever holds a node's row and then waits for a rollout waits for whoever does the reverse. */
  async rolloutsOf(
    tx: Tx,
    nodeOf: ReadonlyMap<string, string>,
  ): Promise<ReadonlyMap<string, string>> {
    const byCommand = await this.#rollouts.of(tx, [...nodeOf.keys()]);
    const unit = this.#unitOf(tx);
    const targets = [...byCommand].map(([id, rolloutId]) => {
      return { rolloutId, nodeId: nodeOf.get(id) ?? '' };
    });
    await Promise.all([
      this.#hold(unit, byCommand.values()),
      unit.expect(byCommand.keys(), targets),
    ]);
    return byCommand;
  }

  async observe(tx: Tx, news: readonly NodeNews[]): Promise<void> {
    const unit = this.#unitOf(tx);
    const said = news.map(({ node, events }) => ({
      node,
      reports: events.flatMap((event) => reportOf(event) ?? []),
    }));
    await unit.expect(commandsIn(said));
    for (const { node, reports } of said) {
      await this.#reports(unit, node, reports);
    }
  }

  open(node: NodeIdentity): Promise<readonly Command[]> {
    return this.#open.ask(node.nodeId);
  }

  async #openOf(nodeIds: readonly string[]): Promise<Command[][]> {
    const { read } = this.database;
    const open = Map.groupBy(
      await openCommands(read, nodeIds, this.clock.now()),
      ({ nodeId }) => nodeId,
    );
    return nodeIds.map((nodeId) => (open.get(nodeId) ?? []).map(({ payload }) => payload));
  }

  async urgent(limit: number): Promise<UrgentNodes> {
    const { read } = this.database;
    const probation = await nodesInSwap(read, limit);
    const left = limit - probation.length;
    const commanded = left <= 0 ? [] : await commandedNodes(read, this.clock.now(), left);
    return { probation: new Set(probation), commanded: new Set(commanded) };
  }

  async acked(node: NodeIdentity, ack: Ack): Promise<void> {
    const { command_id } = ack;
    await this.#answered(node, command_id, progress(command_id, 'accepted', 'command_accepted'));
  }

  async rejected(node: NodeIdentity, reject: Reject): Promise<void> {
    const { command_id, error_code: errorCode } = reject;
    const report = progress(command_id, 'failed', 'command_rejected');
    await this.#answered(node, command_id, { ...report, errorCode });
  }

  /** Events tell the same in better detail; this is for the day when a node has lost its spool. */
  reported(node: NodeIdentity, hello: Hello): Promise<void> {
    const reports = hello.services.flatMap(reportsOf);
    return this.#said.ask({ node, reports, services: hello.services, isOnline: true });
  }

  /** What a node runs, whenever that changed. */
  runs(nodeId: string, services: readonly ServiceReport[]): Promise<void> {
    return this.#said.ask({ node: { nodeId }, reports: [], services, isOnline: false });
  }

  /**
   * Granting is a state change and is durable before it is told. Whoever waited so long that the permit would come to nothing
   * is sent back at once: else, where more ask than can be answered in time, nobody is. Sooner before the rollout is held than
   * after: whoever has just enough time left to have his turn has none left when others have held it for seconds.
   */
  async permit(node: NodeIdentity, request: PermitRequest): Promise<PermitAnswer> {
    const askedMs = performance.now();
    const { permitLeaseMs } = this.config;
    const tooLate = (rolloutId: string, isHeld: boolean): PermitAnswer | null =>
      performance.now() - askedMs <= permitLeaseMs / (isHeld ? 2 : 4)
        ? null
        : this.#denied('manager_busy', instant(this.clock.now()), { rolloutId });
    const grant: About<PermitAnswer> = async ({ unit }, command) => {
      const now = instant(this.clock.now());
      if (command === null) return this.#denied('command_unknown', now);
      const rollout = await unit.open(command.rolloutId);
      const target = rollout && (await unit.target(rollout, node.nodeId));
      if (rollout === null || target === null) return this.#denied('rollout_unknown', now);
      const facts = await this.#facts(unit, rollout, node);
      const answer = permit(rollout.state, target, request.command_id, facts);
      if (!answer.ok) {
        await this.#stillThere(unit, rollout, target, request.command_id);
        return this.#denied(answer.error.code, now, {
          ...answer.error,
          rolloutId: rollout.meta.id,
        });
      }
      // A node that comes late may have been promised to a newer rollout meanwhile.
      const { status, heldBy } = command;
      const isOvertaken = status === 'closed' || (heldBy ?? rollout.meta.id) !== rollout.meta.id;
      if (isOvertaken) return this.#denied('command_not_current', now);
      await unit.hear(rollout, target, progress(request.command_id, 'swapping', 'permit_granted'));
      return { granted: true, leaseMs: this.config.permitLeaseMs };
    };
    return this.#about(node, request.command_id, grant, tooLate);
  }

  #denied(
    reason: string,
    now: Instant,
    denial: Partial<Denial> & { readonly rolloutId?: string } = {},
  ): PermitAnswer {
    const { until = null, rolloutId } = denial;
    const isForRoom = reason === 'too_many_nodes_down';
    const pauseMs = isForRoom ? ROOM_RETRY_MS : Math.floor(this.config.permitLeaseMs / 2);
    const slotMs = (): number =>
      rolloutId === undefined ? pauseMs : this.#slots.next(rolloutId, now, pauseMs);
    const againMs = until === null ? slotMs() : until - now;
    const retryAfterMs = Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, againMs));
    return { granted: false, reason, retryAfterMs };
  }

  async #facts(unit: RolloutUnit, rollout: OpenRollout, node: NodeIdentity): Promise<PermitFacts> {
    const { now } = unit;
    const { meta, state } = rollout;
    const [circumstances, otherNodesDown] = await Promise.all([
      // Of the node's own group: it may be held back where the rest of the rollout is not.
      unit.circumstancesOf(node.groupId, meta),
      hasBudget(state) ? unit.down(rollout, node.nodeId, downMax(state)) : 0,
    ]);
    return { now, circumstances, otherNodesDown };
  }

  /**
   * Whoever asks for a permit is not silent. Written now and then only: nodes ask every few seconds. Of
   * a rollout that is over nobody is called silent any more: there a deadline only bounds how long a
   * node counts as down, and one that was denied is not.
   */
  async #stillThere(
    unit: RolloutUnit,
    rollout: OpenRollout,
    target: StoredTarget,
    commandId: string,
  ): Promise<void> {
    if (isOver(rollout.state.status)) return;
    const { deadlineAt, state } = target;
    const leftMs = deadlineAt === null ? Infinity : deadlineAt - this.clock.now();
    const isNews = state !== 'staged' || leftMs < rollout.state.plan.nodeDeadlineMs / 2;
    if (isNews) await unit.hear(rollout, target, progress(commandId, 'staged', 'waits_for_permit'));
  }

  /** What nodes said of themselves, to those rollouts that have claimed them; each set of rollouts for itself. */
  async #hearAll(said: readonly Said[]): Promise<undefined[]> {
    const { read } = this.database;
    const told = await this.#rollouts.of(read, commandsIn(said));
    const active = await activeOf(read, said.map(nodeIdOf));
    const byRollouts = Map.groupBy(said, (one) => {
      const about = new Set([
        ...one.reports.flatMap(({ commandId }) => told.get(commandId) ?? []),
        ...active.flatMap((claim) => (concerns(one, claim) ? [claim.rolloutId] : [])),
      ]);
      return [...about].sort().join(' ');
    });
    byRollouts.delete('');
    await Promise.all(
      [...byRollouts].map(([about, some]) =>
        this.#together(about.split(' '), (tx, unit) => this.#hearSome(tx, unit, some)),
      ),
    );
    return said.map(() => undefined);
  }

  async #hearSome(tx: Tx, unit: RolloutUnit, said: readonly Said[]): Promise<void> {
    await unit.expect(commandsIn(said));
    const active = await activeOf(tx, said.map(nodeIdOf));
    await unit.expectTargets(active);
    for (const { node, reports, services, isOnline } of said) {
      await this.#reports(unit, node, reports);
      for (const claim of active) {
        if (claim.nodeId !== node.nodeId) continue;
        if (isOnline) await this.#hear(unit, claim, () => ({ kind: 'presence', online: true }));
        const version = versionOf(services, claim.service);
        if (version === null) continue;
        await this.#hear(unit, claim, ({ meta }) => ({
          ...{ kind: 'version', atTarget: version === meta.version },
        }));
      }
    }
  }

  /** A report about a node that a running rollout has claimed. */
  async #hear(
    unit: RolloutUnit,
    { rolloutId, nodeId }: ActiveTarget,
    reportFor: (rollout: OpenRollout) => Report,
  ): Promise<void> {
    const rollout = await unit.open(rolloutId);
    const target = rollout && (await unit.target(rollout, nodeId));
    if (rollout !== null && target !== null) await unit.hear(rollout, target, reportFor(rollout));
  }

  async #answered(node: NodeIdentity, commandId: string, report: Progress): Promise<void> {
    await this.#about<undefined>(node, commandId, async ({ tx, unit }, command) => {
      if (command === null || command.status === 'closed') return;
      const { action } = command.payload;
      tx.afterCommit(() => {
        const told = report.state === 'accepted' ? 'accepted' : 'rejected';
        meters.count('bellwether_commands_total', action, told);
      });
      const isUpgrade = action === 'upgrade_binary';
      const goesOn = isUpgrade && report.state === 'accepted';
      unit.answered(commandId, goesOn ? 'accepted' : 'closed');
      if (isUpgrade) await this.#report(unit, { node, command, report });
    });
  }

  /**
   * A work about one command, given as it is in the work's transaction; null when it is not this node's. Whoever is `tooLate`
   * when its turn comes has its answer without that anything is read or locked, so that a long queue is soon down to those who can still be served.
   */
  async #about<T>(
    node: NodeIdentity,
    commandId: string,
    work: About<T>,
    tooLate?: (rolloutId: string, isHeld: boolean) => T | null,
  ): Promise<T> {
    const rolloutId = this.#rollouts.known(commandId) ?? (await this.#rolloutOf.ask(commandId));
    const line = rolloutId ?? '';
    const asked = this.#asked.get(line) ?? new Map<string, TargetKey>();
    this.#asked.set(line, asked.set(commandId, { rolloutId: line, nodeId: node.nodeId }));
    const soon = () => asked.entries().take(WORKS_PER_COMMIT_MAX[this.database.kind]);
    try {
      return await this.#together(
        rolloutId === null ? [] : [rolloutId],
        async (tx, unit) => {
          const command = await unit.command(commandId);
          return work({ tx, unit }, command?.nodeId === node.nodeId ? command : null);
        },
        {
          ...(tooLate === undefined ? {} : { early: (isHeld: boolean) => tooLate(line, isHeld) }),
          behind: (unit) => unit.command(commandId, soon),
        },
      );
    } finally {
      asked.delete(commandId);
      if (asked.size === 0) this.#asked.delete(line);
    }
  }

  /** Works about one rollout share commits and what was read for them; of several none, since each would hold up all. */
  #together<T>(
    about: readonly string[],
    work: (tx: Tx, unit: RolloutUnit) => Promise<T>,
    { early, behind }: Shortcuts<T> = {},
  ): Promise<T> {
    const [only, ...more] = new Set(about);
    return this.database.together(
      async (tx) => {
        const unit = this.#unitOf(tx);
        await Promise.all([this.#hold(unit, about), behind?.(unit)]);
        // Whoever had the rollout before may have had it for long.
        return early?.(true) ?? (await work(tx, unit));
      },
      only === undefined || more.length > 0
        ? undefined
        : { line: only, ...(early === undefined ? {} : { early: () => early(false) }) },
    );
  }

  #unitOf(tx: Tx): RolloutUnit {
    return this.units.shared(tx, instant(this.clock.now()));
  }

  /** In one order, so that no two transactions wait for each other. What is sent behind it is read when all of them are held. */
  async #hold(unit: RolloutUnit, rolloutIds: Iterable<string>): Promise<void> {
    await Promise.all([...new Set(rolloutIds)].sort().map((id) => unit.open(id)));
  }

  /** What one node says of commands that are expected. Those of another node, or of none we know, are dropped. */
  async #reports(
    unit: RolloutUnit,
    node: Pick<NodeIdentity, 'nodeId'>,
    reports: readonly Progress[],
  ): Promise<void> {
    for (const report of reports) {
      const command = await unit.command(report.commandId);
      if (command !== null) await this.#report(unit, { node, command, report });
    }
  }

  async #report(
    unit: RolloutUnit,
    said: {
      readonly node: Pick<NodeIdentity, 'nodeId'>;
      readonly command: HeldCommand;
      readonly report: Progress;
    },
  ): Promise<void> {
    const { node, command, report } = said;
    if (command.nodeId !== node.nodeId) return;
    const rollout = await unit.open(command.rolloutId);
    const target = rollout && (await unit.target(rollout, node.nodeId));
    if (rollout !== null && target !== null) await unit.hear(rollout, target, report);
  }
}
