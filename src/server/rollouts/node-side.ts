import { Inject, Injectable } from '@nestjs/common';
import { instant } from '../../core/kernel/index.js';
import { observe, permit, type Report, type TargetState } from '../../core/rollout/index.js';
import type {
  Ack,
  Command,
  Hello,
  NodeEvent,
  NodeEventType,
  PermitRequest,
  Reject,
  ServiceReport,
} from '../../protocol/node/index.js';
import type { NodeEventObserver, NodeNews } from '../events/index.js';
import type { CommandHandler, NodeIdentity, PermitAnswer } from '../gateway/index.js';
import { type Clock, CLOCK, CONFIG, type Config, Database, type Tx } from '../platform/index.js';
import { findCommands, openCommands, setCommandStatus } from './commands.store.js';
import { RolloutUnits, type RolloutUnit } from './rollout-units.js';
import { findTarget, isHeldByAnother } from './rollouts.store.js';

/** What each lifecycle event says about its target; other events say nothing. */
const STATE_OF: Partial<Record<NodeEventType, TargetState>> = {
  upgrade_started: 'downloading',
  upgrade_downloaded: 'downloading',
  upgrade_verified: 'downloading',
  upgrade_staged: 'staged',
  upgrade_staged_manual: 'staged',
  upgrade_swapping: 'swapping',
  upgrade_probation: 'probation',
  upgrade_completed: 'succeeded',
  upgrade_rolled_back: 'rolled_back',
  upgrade_refused: 'failed',
  upgrade_withdrawn: 'cancelled',
  upgrade_download_failed: 'failed',
  upgrade_verify_failed: 'failed',
  upgrade_stage_failed: 'failed',
  upgrade_swap_failed: 'failed',
  upgrade_rollback_failed: 'failed',
};

const STATE_OF_RESULT = {
  succeeded: 'succeeded',
  failed: 'failed',
  rolled_back: 'rolled_back',
  withdrawn: 'cancelled',
} as const satisfies Record<string, TargetState>;

type Progress = Extract<Report, { kind: 'progress' }>;

/**
 * The rollouts' ear: what nodes say (events, answers, hello) becomes reports to the machine, and
 * their wish to swap an answer. Every path is safe to repeat.
 */
@Injectable()
export class NodeSide implements CommandHandler, NodeEventObserver {
  constructor(
    private readonly database: Database,
    private readonly units: RolloutUnits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async rolloutsOf(tx: Tx, commandIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const commands = await findCommands(tx, commandIds);
    return new Map(commands.map((command) => [command.id, command.rolloutId]));
  }

  async observe(tx: Tx, news: readonly NodeNews[]): Promise<void> {
    const unit = this.units.begin(tx, instant(this.clock.now()));
    for (const { node, events } of news) {
      for (const event of events) {
        const report = reportOf(event);
        if (report !== null) await this.#report(tx, unit, node, report);
      }
    }
    await unit.finish();
  }

  async open(node: NodeIdentity): Promise<readonly Command[]> {
    const commands = await openCommands(this.database.read, node.nodeId, this.clock.now());
    return commands.map((command) => command.payload);
  }

  async acked(node: NodeIdentity, ack: Ack): Promise<void> {
    await this.#answered(node, ack.command_id, {
      kind: 'progress',
      commandId: ack.command_id,
      state: 'accepted',
      reason: 'command_accepted',
      errorCode: null,
    });
  }

  async rejected(node: NodeIdentity, reject: Reject): Promise<void> {
    await this.#answered(node, reject.command_id, {
      kind: 'progress',
      commandId: reject.command_id,
      state: 'failed',
      reason: 'command_rejected',
      errorCode: reject.error_code,
    });
  }

  /** Events tell the same in better detail; this is for the day when a node has lost its spool. */
  async reported(node: NodeIdentity, hello: Hello): Promise<void> {
    const reports = hello.services.flatMap(reportsOf);
    if (reports.length === 0) return;
    await this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, instant(this.clock.now()));
      for (const report of reports) await this.#report(tx, unit, node, report);
      await unit.finish();
    });
  }

  /** Granting is a state change and is durable before it is told. */
  async permit(node: NodeIdentity, request: PermitRequest): Promise<PermitAnswer> {
    const leaseMs = this.config.permitLeaseMs;
    const denied = (reason: string): PermitAnswer => ({
      granted: false,
      reason,
      retryAfterMs: Math.max(500, Math.floor(leaseMs / 2)),
    });
    return this.database.transaction(async (tx) => {
      const unit = this.units.begin(tx, instant(this.clock.now()));
      const [command] = await findCommands(tx, [request.command_id]);
      if (command?.nodeId !== node.nodeId) return denied('command_unknown');
      const rollout = await unit.open(command.rolloutId);
      const target = rollout && (await findTarget(tx, rollout.meta.id, node.nodeId));
      if (rollout === null || target === null) return denied('rollout_unknown');
      const answer = permit(rollout.state, target, request.command_id);
      if (!answer.ok) return denied(answer.error.code);
      // A node that comes late may have been promised to a newer rollout meanwhile.
      const isOvertaken =
        command.status === 'closed' || (await isHeldByAnother(tx, rollout.meta.id, command));
      if (isOvertaken) return denied('command_not_current');
      const report: Progress = {
        kind: 'progress',
        commandId: request.command_id,
        state: 'swapping',
        reason: 'permit_granted',
        errorCode: null,
      };
      await this.#report(tx, unit, node, report);
      await unit.finish();
      return { granted: true, leaseMs };
    });
  }

  async #answered(node: NodeIdentity, commandId: string, report: Progress): Promise<void> {
    await this.database.transaction(async (tx) => {
      const [command] = await findCommands(tx, [commandId]);
      if (command?.nodeId !== node.nodeId || command.status === 'closed') return;
      const isUpgrade = command.payload.action === 'upgrade_binary';
      const goesOn = isUpgrade && report.state === 'accepted';
      await setCommandStatus(tx, commandId, goesOn ? 'accepted' : 'closed');
      if (!isUpgrade) return;
      const unit = this.units.begin(tx, instant(this.clock.now()));
      await this.#report(tx, unit, node, report);
      await unit.finish();
    });
  }

  /** A report about a command of another node, or of none we know, is dropped. */
  async #report(tx: Tx, unit: RolloutUnit, node: NodeIdentity, report: Progress): Promise<void> {
    const [command] = await findCommands(tx, [report.commandId]);
    if (command?.nodeId !== node.nodeId) return;
    const rollout = await unit.open(command.rolloutId);
    if (rollout === null) return;
    const target = await findTarget(tx, rollout.meta.id, node.nodeId);
    if (target === null) return;
    const seen = observe(rollout.state, target, report, instant(this.clock.now()));
    if (seen.target !== target) await unit.store(rollout, seen.target);
    await unit.apply(rollout, seen.decision);
  }
}

function reportOf(event: NodeEvent): Progress | null {
  const state = STATE_OF[event.type];
  if (state === undefined || event.command_id === null) return null;
  const code = event.details['error_code'];
  return {
    kind: 'progress',
    commandId: event.command_id,
    state,
    reason: event.type,
    errorCode: typeof code === 'string' ? code : null,
  };
}

function reportsOf(service: ServiceReport): Progress[] {
  if (service.outcome === null) return [];
  const { command_id, result, error_code } = service.outcome;
  return [
    {
      kind: 'progress',
      commandId: command_id,
      state: STATE_OF_RESULT[result],
      reason: `hello_${result}`,
      errorCode: error_code,
    },
  ];
}
