import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError, ok, refuse, type Refusal, type Result } from '../core/kernel/index.js';
import {
  CONTROL_BYTES_MAX,
  judgeControl,
  LocalControl,
  NO_CONTROL,
  type ControlErrorCode,
} from '../core/release/index.js';
import { problemsOf } from './config.js';
import { replaceFile } from './durable-files.js';
import { GuardedFile } from './guarded-file.js';
import { holdLock } from './lock.js';

const CONTROL_FILE = 'control.json';
const CHANGE_LOCK = 'control.lock';
/** A change takes milliseconds; who waits longer than this for another one is told so. */
const CHANGE_WAIT_MS = 5_000;

type ControlRead = Result<LocalControl, Refusal<'upgrade_policy_invalid'>>;

/** What the manager and `status` are told of a control that cannot be used: it forbids everything. */
const CLOSED: LocalControl = { ...NO_CONTROL, enabled: false };

/**
 * `control.json` in an install root: what a person on the node decided (`enable`, `pin`). Guarded as the
 * policy is: while it is a link, or others could write it, nothing is installed. Missing, it holds
 * nothing up.
 */
export class ControlFile {
  readonly path: string;
  readonly #file: GuardedFile<ControlRead>;
  readonly #onChange: (control: LocalControl) => void;
  #known: { readonly control: LocalControl; readonly digest: string } | null = null;

  constructor(root: string, onChange: (control: LocalControl) => void = () => undefined) {
    const path = join(root, CONTROL_FILE);
    this.path = path;
    this.#onChange = onChange;
    this.#file = new GuardedFile<ControlRead>(path, {
      bytesMax: CONTROL_BYTES_MAX,
      parse: (bytes) => parseControl(path, bytes),
      without: (problem) =>
        problem === 'is missing'
          ? ok(NO_CONTROL)
          : refuse('upgrade_policy_invalid', `${path} ${problem}`),
    });
  }

  /** What counted when it was looked at last. */
  get known(): LocalControl {
    return this.#known?.control ?? NO_CONTROL;
  }

  /** The same as the manager is told it; nothing where nobody decided anything. */
  get told(): { enabled: boolean; pin: string | null } | undefined {
    const { enabled, pin } = this.known;
    return enabled && pin === null ? undefined : { enabled, pin };
  }

  async read(): Promise<ControlRead> {
    const { value } = await this.#file.look();
    const control = value.ok ? value.value : CLOSED;
    const digest = JSON.stringify([value.ok, control]);
    const isNews = this.#known !== null && this.#known.digest !== digest;
    this.#known = { control, digest };
    if (isNews) this.#onChange(control);
    return value;
  }

  /** Whether this version may be installed, by what lies there now. */
  async judge(
    version: string,
  ): Promise<Result<null, Refusal<ControlErrorCode | 'upgrade_policy_invalid'>>> {
    const read = await this.read();
    return read.ok ? judgeControl(read.value, version) : read;
  }
}

function parseControl(path: string, bytes: Buffer): ControlRead {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return refuse('upgrade_policy_invalid', `${path} is not JSON`);
  }
  const parsed = LocalControl.safeParse(json);
  if (parsed.success) return ok(parsed.data);
  return refuse('upgrade_policy_invalid', `${path}: ${problemsOf(parsed.error)}`);
}

/**
 * Changes what is decided for one service; durable when it resolves, and safe to repeat. Two at once come
 * one after the other. An agent that runs sees it when it looks next. Throws `upgrade_policy_invalid`
 * where what lies there is not to be trusted, `conflict` when another change takes too long.
 */
export async function changeControl(
  root: string,
  change: Partial<Pick<LocalControl, 'enabled' | 'pin'>>,
): Promise<LocalControl> {
  const unlock = await waitForLock(root);
  try {
    const file = new ControlFile(root);
    const before = await file.read();
    if (!before.ok) throw new FleetError(before.error.code, before.error.message);
    const after: LocalControl = { ...before.value, ...change };
    await replaceFile(file.path, `${JSON.stringify(after, null, 1)}\n`);
    return after;
  } finally {
    unlock();
  }
}

async function waitForLock(root: string): Promise<() => void> {
  const untilMs = performance.now() + CHANGE_WAIT_MS;
  for (;;) {
    try {
      return holdLock(root, CHANGE_LOCK);
    } catch (error) {
      const isHeld = error instanceof FleetError && error.code === 'conflict';
      if (!isHeld || performance.now() > untilMs) throw error;
      await sleep(20);
    }
  }
}
