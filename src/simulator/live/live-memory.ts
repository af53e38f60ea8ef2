import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Job, UpdateState } from '../../core/update/index.js';
import type { NodeEvent } from '../../protocol/node/index.js';
import type { KeptSpool } from './live-spool.js';

/** One swap as the node itself saw it. Moments by the clock of this machine, in ms since 1970. */
export interface SwapFact {
  readonly command_id: string;
  readonly version: string;
  readonly began_at: number;
  /** When the link `current` led to the new version. */
  done_at: number | null;
  /** When the node knew how the upgrade ended. */
  ended_at: number | null;
  result: string | null;
}

/** All that a node has on its disk, and a diary of what it did, to be held against what the manager knows. */
export interface Kept {
  readonly boots: number;
  readonly spool: KeptSpool;
  readonly services: Readonly<
    Record<string, { readonly state: UpdateState; readonly current: string | null }>
  >;
  readonly diary: {
    readonly events: Pick<NodeEvent, 'seq' | 'type' | 'category' | 'command_id'>[];
    readonly swaps: SwapFact[];
  };
}

interface KeptService {
  readonly seed: { readonly name: string };
  readonly machine: { readonly state: UpdateState };
  readonly linked: string | null;
}

/**
 * The disk of one simulated node: one file, replaced as a whole, before anything is sent that rests on it.
 * So a process that plays nodes can be killed at any moment, and its nodes boot with what they had. It
 * outlives the process, not the machine: nothing is synced.
 */
export class LiveMemory {
  readonly #path: string;
  readonly #diary: Kept['diary'];
  /** As it was when the node started; null: it never ran. */
  readonly kept: Kept | null;

  constructor(folder: string, nodeId: string) {
    this.#path = join(folder, `${nodeId}.json`);
    this.kept = readKept(this.#path);
    this.#diary = this.kept?.diary ?? { events: [], swaps: [] };
  }

  made({ seq, type, category, command_id }: NodeEvent): void {
    this.#diary.events.push({ seq, type, category, command_id });
  }

  /** A swap that a reboot broke off and that is begun again is one swap. */
  swapping({ command_id, version }: Job): void {
    const last = this.#diary.swaps.at(-1);
    if (last?.command_id === command_id && last.done_at === null) return;
    const fresh = { done_at: null, ended_at: null, result: null };
    this.#diary.swaps.push({ command_id, version, began_at: Date.now(), ...fresh });
  }

  swapped(commandId: string): void {
    const last = this.#diary.swaps.at(-1);
    if (last?.command_id === commandId) last.done_at ??= Date.now();
  }

  ended(commandId: string, result: string): void {
    const last = this.#diary.swaps.at(-1);
    if (last?.command_id !== commandId) return;
    last.ended_at ??= Date.now();
    last.result ??= result;
  }

  write(boots: number, spool: KeptSpool, services: readonly KeptService[]): void {
    const kept: Kept = {
      boots,
      spool,
      services: Object.fromEntries(
        services.map(({ seed, machine, linked }) => [
          seed.name,
          { state: machine.state, current: linked },
        ]),
      ),
      diary: this.#diary,
    };
    writeFileSync(`${this.#path}.new`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

/** Null when there is none. */
export function readKept(path: string): Kept | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
