import { closeSync } from 'node:fs';
import { bornAt } from '../process-birth.js';
import { killGroup, runCommand } from './run-command.js';
import type { HookCommands, ServiceConfig } from './service-config.js';
import { openLog } from './service-log.js';
import type { Seen, Supervisor } from './supervisor.port.js';

/**
 * A service under a supervisor that is asked by commands: supervisord, OpenRC, runit. They run in
 * the install root; what start, stop and restart say goes into the log of the service.
 */
export class CommandHooks implements Supervisor {
  readonly #root: string;
  readonly #commands: HookCommands;
  #hasStarted = false;

  constructor(config: Pick<ServiceConfig, 'root'>, commands: HookCommands) {
    this.#root = config.root;
    this.#commands = commands;
  }

  async look(): Promise<Seen> {
    const { code } = await this.#ask(this.#commands.status);
    if (code !== 0) return { ...DOWN, how: `status says exit code ${code ?? 'none'}` };
    const pid = await this.#pid();
    const born = pid === null ? null : bornAt(pid);
    // Gone between the two questions: the next look tells.
    if (pid === null || born === null) return { ...DOWN, state: 'ready' };
    return { ...DOWN, state: 'ready', pid, run: `${pid}:${born}` };
  }

  /** The second time on, `restart` where it is given: some do not start what has crashed. */
  async start(): Promise<void> {
    const { start, restart } = this.#commands;
    await this.#tell('start', this.#hasStarted ? (restart ?? start) : start);
    this.#hasStarted = true;
  }

  async stop(): Promise<void> {
    this.#hasStarted = false;
    await this.#tell('stop', this.#commands.stop);
  }

  kill({ pid, run }: Seen): Promise<void> {
    if (pid !== null) killGroup(pid, run === `${pid}:${bornAt(pid) ?? ''}`);
    return Promise.resolve();
  }

  async #pid(): Promise<number | null> {
    if (this.#commands.pid === undefined) return null;
    const { code, output } = await this.#ask(this.#commands.pid);
    const pid = /^\d{1,10}$/.test(output) ? Number(output) : 0;
    return code === 0 && pid > 1 ? pid : null;
  }

  #ask(command: readonly string[]): ReturnType<typeof runCommand> {
    return runCommand(command, { timeoutMs: this.#timeoutMs, cwd: this.#root });
  }

  async #tell(name: string, command: readonly string[]): Promise<void> {
    const outputFd = openLog(this.#root);
    try {
      const options = { timeoutMs: this.#timeoutMs, cwd: this.#root, outputFd };
      const { code } = await runCommand(command, options);
      if (code !== 0) throw new Error(`${name}: exit code ${code ?? 'none'}; see its log`);
    } finally {
      closeSync(outputFd);
    }
  }

  get #timeoutMs(): number {
    return this.#commands.timeout_secs * 1000;
  }
}

const DOWN: Seen = { state: 'ended', pid: null, ends: null, run: null, how: 'gone' };
