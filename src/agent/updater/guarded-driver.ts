import type { ServiceDriver, ServiceStatus } from '../supervisor/index.js';

/**
 * A driver that starts nothing that is revoked: not when it is told to, and not again when the
 * process ends. A process that runs is not touched; whether it goes on is decided elsewhere.
 */
export class GuardedDriver implements ServiceDriver {
  readonly #inner: ServiceDriver;
  readonly #isRevoked: () => Promise<boolean>;

  /** `isRevoked` speaks of what `current` leads to. */
  constructor(inner: ServiceDriver, isRevoked: () => Promise<boolean>) {
    this.#inner = inner;
    this.#isRevoked = isRevoked;
  }

  async start(): Promise<void> {
    if (await this.#isRevoked()) return;
    await this.#inner.start();
  }

  stop(): Promise<void> {
    return this.#inner.stop();
  }

  status(): ServiceStatus {
    return this.#inner.status();
  }

  /** Asked before the driver's own back-off is over, which begins at a quarter of a second. */
  onExit(listener: (how: string) => void): void {
    this.#inner.onExit((how) => {
      listener(how);
      void this.#isRevoked().then((isRevoked) => (isRevoked ? this.#inner.stop() : undefined));
    });
  }

  adopt(): Promise<boolean> {
    return this.#inner.adopt();
  }

  release(): void {
    this.#inner.release();
  }
}
