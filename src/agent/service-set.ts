import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { Pact, stepSet, wordTo, type SetMember, type SetWord } from '../core/update/index.js';
import type { Log } from './log.js';
import type { FaultPoint, Faults } from './updater/index.js';

/** A pact of as many services as a node may have is some kilobytes. */
const PACT_BYTES_MAX = 256 * 1024;

const POINT_OF_PHASE = {
  gathering: 'after-set-gathering',
  moving: 'after-set-moving',
  kept: 'after-set-kept',
  back: 'after-set-back',
} as const satisfies Record<Pact['phase'], FaultPoint>;

export interface SetOptions {
  readonly name: string;
  readonly services: readonly string[];
  /** Where what was agreed on lies; durable. */
  readonly file: string;
  readonly clock: { monotonicMs(): number };
  readonly faults: Faults;
  readonly log: Log;
}

/**
 * Services that upgrade together and go back together. Holds no rule: each time a member asks, the pure
 * machine looks at all of them, and what it says is made durable before the member hears it. All of
 * that is one synchronous step, so no member can move between the look and the decision.
 */
export class ServiceSet {
  readonly #options: SetOptions;
  readonly #looks = new Map<string, () => NonNullable<SetMember['now']>>();
  #pact: Pact | null;
  #movingSinceMs: number;

  constructor(options: SetOptions) {
    this.#options = options;
    this.#pact = readPact(options);
    this.#movingSinceMs = options.clock.monotonicMs();
  }

  /** From now on this service can be seen. Nothing is agreed on before all of them can. */
  join(service: string, look: () => NonNullable<SetMember['now']>): void {
    this.#looks.set(service, look);
  }

  /** What the set says to this service about its job; undefined where it has nothing to say. */
  wordTo(service: string): SetWord | undefined {
    const members = this.#options.services.map((name): SetMember => {
      return { service: name, now: this.#looks.get(name)?.() ?? null };
    });
    this.#agree(members);
    return wordTo(service, this.#pact, members);
  }

  #agree(members: readonly SetMember[]): void {
    const { name, clock, faults, log } = this.#options;
    const before = this.#pact;
    const next = stepSet(before, members, clock.monotonicMs() - this.#movingSinceMs);
    if (next === before) return;
    try {
      writePact(this.#options.file, next);
    } catch (error) {
      log('what a set agreed on cannot be written', { set: name, error: String(error) });
      // The way back follows from the members alone and waits for no disk; nothing else is begun.
      if (next?.phase !== 'back') return;
    }
    this.#pact = next;
    if (next === null || next.phase === before?.phase) return;
    if (next.phase === 'moving') this.#movingSinceMs = clock.monotonicMs();
    const { phase, cause } = next;
    log('a set has agreed', { set: name, phase, members: next.members, cause });
    faults.hit(POINT_OF_PHASE[phase]);
  }
}

/** As a whole or not at all, and on the disk when it returns; null removes it. */
function writePact(file: string, pact: Pact | null): void {
  if (pact === null) {
    rmSync(file, { force: true });
  } else {
    const temporary = `${file}.tmp`;
    rmSync(temporary, { force: true });
    const handle = openSync(temporary, 'wx', 0o640);
    try {
      writeSync(handle, `${JSON.stringify(pact, null, 1)}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, file);
  }
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** A damaged one is kept aside: the members are then judged each on its own, and that is logged. */
function readPact({ file, name, log }: SetOptions): Pact | null {
  try {
    if (statSync(file).size > PACT_BYTES_MAX) throw new Error('it is too large');
    return Pact.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null;
    log('what a set agreed on cannot be read', { set: name, error: String(error) });
    renameSync(file, `${file}.corrupt-${Date.now()}`);
    return null;
  }
}
