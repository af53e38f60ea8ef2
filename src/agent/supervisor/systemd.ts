import { runCommand } from './run-command.js';
import type { Seen, Supervisor } from './supervisor.port.js';

/** systemctl answers in milliseconds; one that hangs must not hold up the agent. */
const SYSTEMCTL_TIMEOUT_MS = 10_000;
const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'Job',
  'MainPID',
  'NRestarts',
  'InvocationID',
  'Result',
  'ExecMainStatus',
] as const;
type Properties = Readonly<Record<(typeof PROPERTIES)[number], string>>;

/** One unit of systemd, by systemctl. The unit says what runs and how; this starts and stops it. */
export class SystemdUnit implements Supervisor {
  readonly #unit: string;

  constructor(unit: string) {
    this.#unit = unit;
  }

  async look(): Promise<Seen> {
    const text = await this.#systemctl('show', `--property=${PROPERTIES.join(',')}`);
    return seenFrom(text);
  }

  /** Clears the start limit first: who comes here has decided to try again. */
  async start(): Promise<void> {
    await this.#systemctl('reset-failed').catch(() => {
      // Nothing to clear where the unit was never loaded; whether it exists is seen next.
    });
    await this.#systemctl('start', '--no-block');
  }

  async stop(): Promise<void> {
    await this.#systemctl('stop', '--no-block');
  }

  async kill(): Promise<void> {
    await this.#systemctl('kill', '--signal=SIGKILL').catch(() => {
      // It has ended meanwhile, or it is seen not to.
    });
  }

  async #systemctl(verb: string, ...options: string[]): Promise<string> {
    const command = ['systemctl', '--no-pager', '--no-ask-password', verb, ...options, '--'];
    const { code, output } = await runCommand([...command, this.#unit], {
      timeoutMs: SYSTEMCTL_TIMEOUT_MS,
    });
    if (code === 0) return output;
    const said = output.split('\n')[0] ?? '';
    throw new Error(`systemctl ${verb} ${this.#unit}: exit code ${code ?? 'none'}: ${said}`);
  }
}

/** `systemctl show` gives one `Name=value` a line; what it leaves out is empty. */
function propertiesFrom(text: string): Properties {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const cut = line.indexOf('=');
    if (cut > 0) found.set(line.slice(0, cut), line.slice(cut + 1));
  }
  const entries = PROPERTIES.map((name) => [name, found.get(name) ?? '']);
  return Object.fromEntries(entries) as Properties;
}

/** What `systemctl show` printed, as the driver takes it. */
export function seenFrom(text: string): Seen {
  const unit = propertiesFrom(text);
  const pid = Number(unit.MainPID);
  const state = stateOf(unit);
  // NRestarts rises when the next start is queued, but the end was before it: with a job in the queue it is
  // counted already. That the start limit was hit is no end of its own.
  const isDown = state === 'waiting' || state === 'ended';
  const isEnd = isDown && !hasJob(unit) && unit.Result !== 'start-limit-hit';
  return {
    state,
    pid: pid > 0 ? pid : null,
    ends: Number(unit.NRestarts || '0') + (isEnd ? 1 : 0),
    // While a start is queued, this is still the id of the run before.
    run: hasJob(unit) && unit.ActiveState !== 'active' ? null : unit.InvocationID || null,
    how: `${unit.Result || 'ended'}, status ${unit.ExecMainStatus || '0'}`,
  };
}

const hasJob = ({ Job }: Properties): boolean => Job !== '' && Job !== '0';

function stateOf(unit: Properties): Seen['state'] {
  const { ActiveState, SubState } = unit;
  switch (ActiveState) {
    case 'active':
    case 'reloading':
      // A oneshot that stays active, or a process that ended and left its unit active.
      return SubState === 'exited' ? 'ended' : 'ready';
    case 'activating':
      return SubState.startsWith('auto-restart') ? 'waiting' : 'starting';
    case 'deactivating':
      return 'stopping';
    default:
      // Asked for and not begun yet.
      return hasJob(unit) ? 'starting' : 'ended';
  }
}
