import { Inject, Injectable } from '@nestjs/common';
import { BUS, IDS_MAX, Members, type Bus, type Tx } from '../platform/index.js';
import type { Elsewhere } from './ports.js';

/** What a hearer takes at once; the rest of a flood is found by his next look. */
const TOLD_MAX = 100_000;

/** Tells the other managers of nodes and commands, in messages of bounded size. */
@Injectable()
export class OtherManagers implements Elsewhere {
  constructor(
    private readonly members: Members,
    @Inject(BUS) private readonly bus: Bus,
  ) {}

  get managerId(): string {
    return this.members.id;
  }

  require(tx: Tx): Promise<string> {
    return this.members.require(tx);
  }

  others(): Promise<number> {
    return this.members.others();
  }

  tellNodes(nodeIds: readonly string[], managerId?: string): void {
    for (const ids of this.#parts(nodeIds)) this.bus.tell('nodes', { ids }, managerId);
  }

  tellCommands(managerId: string, commandIds: readonly string[]): void {
    for (const ids of this.#parts(commandIds)) this.bus.tell('commands', { ids }, managerId);
  }

  *#parts(ids: readonly string[]): Generator<string[]> {
    if (!this.bus.isShared) return;
    for (let at = 0; at < Math.min(ids.length, TOLD_MAX); at += IDS_MAX) {
      yield ids.slice(at, at + IDS_MAX);
    }
  }
}
