import type { Instant } from '../../core/kernel/index.js';
import type { Target } from '../../core/rollout/index.js';
import type { Database, Tx } from '../platform/index.js';
import {
  commandsSucceeded,
  findCommands,
  setCommandStatus,
  type CommandStatus,
  type HeldCommand,
} from './tables/commands.store.js';
import { countBut, holdPermits, mayBeDown, nodesDown } from './tables/down.store.js';
import {
  findTargets,
  saveTargets,
  type StoredTarget,
  type TargetKey,
} from './tables/targets.store.js';

type Ending = Exclude<CommandStatus, 'open'> | 'succeeded';

/** A command that somebody will ask for, and whose target that should be. */
export type Soon = readonly [commandId: string, of: TargetKey];

const keyOf = ({ rolloutId, nodeId }: TargetKey): string => `${rolloutId} ${nodeId}`;

/**
 * Targets and commands as one transaction sees them that many works share: read for all of them at once, and
 * written once, however often they moved. The rollouts are locked, so nobody else moves these targets.
 * Whoever reads or writes targets by a statement of his own calls `settle` before.
 */
export class Shelf {
  readonly #targets = new Map<string, StoredTarget | null>();
  readonly #commands = new Map<string, HeldCommand | null>();
  readonly #moved = new Map<string, TargetKey & { readonly target: Target }>();
  readonly #ended = new Map<string, Ending>();
  readonly #down = new Map<string, readonly string[]>();
  #holdsPermits = false;
  /** Something moved that may have changed who is down. */
  #isDownOld = false;

  constructor(
    private readonly tx: Tx,
    private readonly now: Instant,
    private readonly kind: Database['kind'],
  ) {}

  /**
   * Reads what works will ask for; what is here already is not read again. The targets of commands are read after them, but for those in
   * `targets`, which go at once.
   */
  async expect(commandIds: Iterable<string>, targets: readonly TargetKey[] = []): Promise<void> {
    const unread = [...new Set(commandIds)].filter((id) => !this.#commands.has(id));
    for (const id of unread) this.#commands.set(id, null);
    const [found] = await Promise.all([findCommands(this.tx, unread), this.expectTargets(targets)]);
    for (const command of found) this.#commands.set(command.id, command);
    await this.expectTargets(found);
  }

  /** As `expect`. */
  async expectTargets(all: readonly TargetKey[]): Promise<void> {
    const keys = all.filter((key) => !this.#targets.has(keyOf(key)));
    for (const key of keys) this.#targets.set(keyOf(key), null);
    for (const { rolloutId, target } of await findTargets(this.tx, keys)) {
      this.#targets.set(keyOf({ rolloutId, nodeId: target.nodeId }), target);
    }
  }

  /** When it has to be read, `soon` are read with it: commands that will be asked for, and the targets that they are said to be for. */
  async command(id: string, soon: () => Iterable<Soon>): Promise<HeldCommand | null> {
    if (!this.#commands.has(id)) {
      const others = [...soon()];
      const ids = [id, ...others.map(([commandId]) => commandId)];
      await this.expect(
        ids,
        others.map(([, target]) => target),
      );
    }
    return this.#commands.get(id) ?? null;
  }

  async target(rolloutId: string, nodeId: string): Promise<StoredTarget | null> {
    const key = keyOf({ rolloutId, nodeId });
    const known = this.#targets.get(key);
    if (known !== undefined) return known;
    const [found] = await findTargets(this.tx, [{ rolloutId, nodeId }]);
    const target = found?.target ?? null;
    this.#targets.set(key, target);
    return target;
  }

  move(rolloutId: string, target: Target): void {
    const key = keyOf({ rolloutId, nodeId: target.nodeId });
    const before = this.#targets.get(key) ?? null;
    if (before !== null && !mayBeDown(before) && mayBeDown(target)) {
      this.#goesDown(rolloutId, target.nodeId);
    } else this.#isDownOld ||= before === null || mayBeDown(before);
    this.#moved.set(key, { rolloutId, nodeId: target.nodeId, target });
    if (before === null) this.#targets.delete(key);
    else this.#targets.set(key, { ...before, ...target, updatedAt: this.now });
  }

  /** Counted here, so that of sixty permits in one transaction each but the first costs no look at the tables. */
  #goesDown(rolloutId: string, nodeId: string): void {
    const counted = [...this.#down.keys()];
    // It may be a target of others, too, and what nobody counted yet is read from the tables.
    const isOurs = counted.length > 0 && counted.every((key) => key.startsWith(`${rolloutId} `));
    this.#isDownOld ||= !isOurs;
    for (const [key, down] of this.#down) {
      if (!down.includes(nodeId)) this.#down.set(key, [...down, nodeId]);
    }
  }

  /** As the table has it: a closed command stays closed. */
  end(commandId: string, how: Ending): void {
    const status = how === 'succeeded' ? 'closed' : how;
    const known = this.#commands.get(commandId);
    if (known?.status === 'closed') return;
    if (known !== undefined && known !== null) this.#commands.set(commandId, { ...known, status });
    const before = this.#ended.get(commandId);
    if (before === undefined || before === 'accepted') this.#ended.set(commandId, how);
  }

  /**
   * How many nodes of a rollout but one are down, at most `most`; until this transaction ends no other one counts, so
   * that two never see the same room. Asked again only after something moved that may have changed it.
   */
  async down(
    rolloutId: string,
    { but, most }: { readonly but: string; readonly most: number },
  ): Promise<number> {
    if (this.#isDownOld) {
      await this.settle();
      this.#down.clear();
      this.#isDownOld = false;
    }
    const key = `${rolloutId} ${most}`;
    const down = this.#down.get(key) ?? (await this.#nodesDown(rolloutId, most + 1));
    this.#down.set(key, down);
    return countBut(down, but, most);
  }

  async #nodesDown(rolloutId: string, most: number): Promise<readonly string[]> {
    const held = this.#holdsPermits ? undefined : holdPermits(this.tx, this.kind);
    this.#holdsPermits = true;
    const { tx, now } = this;
    const [down] = await Promise.all([nodesDown(tx, rolloutId, { most, now }), held]);
    return down;
  }

  /** Writes what moved. What is sent after this call sees it, also before it is answered. */
  async settle(): Promise<void> {
    const moved = [...this.#moved.values()];
    const ended = [...this.#ended].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#moved.clear();
    this.#ended.clear();
    const those = (how: Ending): string[] => ended.flatMap(([id, is]) => (is === how ? [id] : []));
    const { tx, now } = this;
    await Promise.all([
      saveTargets(tx, moved, now),
      setCommandStatus(tx, those('accepted'), 'accepted'),
      setCommandStatus(tx, those('closed'), 'closed'),
      commandsSucceeded(tx, those('succeeded'), now),
    ]);
  }

  /** What is here may be old: somebody else wrote to the tables in this transaction. */
  forget(): void {
    this.#targets.clear();
    this.#commands.clear();
    this.#down.clear();
  }
}
