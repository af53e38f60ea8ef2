/** What the updater needs of whatever runs a service (a child process, systemd, or command hooks). */
export interface ServiceDriver {
  /** Starts what `current` points to, and keeps it running. Idempotent. */
  start(): Promise<void>;
  /** Ends it, by force after its stop time-out; resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
  status(): ServiceStatus;
  /** Called whenever the process ends without having been asked to. */
  onExit(listener: (how: string) => void): void;
  /** Takes over a process that an earlier agent left running. True when there was one. */
  adopt(): Promise<boolean>;
  /** Stops looking after the process but leaves it running. */
  release(): void;
}

export interface ServiceStatus {
  /** It runs, and has said that it is ready where its unit has it say so. */
  readonly running: boolean;
  readonly pid: number | null;
  /** How often it ended by itself since this agent looks after it. */
  readonly restarts: number;
}
