import { join } from 'node:path';
import type { OutboxEvent } from '../../core/update/index.js';
import { isHealthy, type ServiceConfig, type ServiceDriver } from '../supervisor/index.js';

/** In probation a service is asked at least this many times in its window. */
const CHECKS_PER_WINDOW = 8;
const CHECK_INTERVAL_MS_MIN = 100;

export interface Watched {
  readonly service: ServiceConfig;
  readonly driver: ServiceDriver;
  readonly isWell?: () => Promise<boolean>;
  readonly clock: { now(): number; monotonicMs(): number };
  readonly emit: (service: string, events: readonly OutboxEvent[]) => Promise<void>;
  readonly log: (message: string, fields?: Record<string, unknown>) => void;
}

/** Asks a service whether it is well, one question at a time, and tells when that changes. */
export class HealthWatch {
  readonly #watched: Watched;
  readonly #onAnswer: (healthy: boolean) => Promise<void>;
  #isHealthy: boolean | null = null;
  #isAsking = false;
  #askAtMs = 0;

  constructor(watched: Watched, onAnswer: (healthy: boolean) => Promise<void>) {
    this.#watched = watched;
    this.#onAnswer = onAnswer;
  }

  /** Null while nobody knows. */
  get isHealthy(): boolean | null {
    return this.#isHealthy;
  }

  /** Another version runs: what was known says nothing about it, and it is asked at once. */
  forget(): void {
    this.#isHealthy = null;
    this.#askAtMs = 0;
  }

  /**
   * Asks if it is time to, and does not wait for the answer. `windowMs` is the time that a version
   * has to prove itself; null outside of a probation.
   */
  look({ version, windowMs }: { version: string; windowMs: number | null }): void {
    const { service, driver, clock, log, isWell } = this.#watched;
    if (this.#isAsking || clock.monotonicMs() < this.#askAtMs) return;
    const oftenMs = Math.max(CHECK_INTERVAL_MS_MIN, (windowMs ?? Infinity) / CHECKS_PER_WINDOW);
    this.#askAtMs = clock.monotonicMs() + Math.min(service.health.interval_secs * 1000, oftenMs);
    this.#isAsking = true;
    const { running, pid } = driver.status();
    const answer = isWell?.() ?? isHealthy(service.health, running, join(service.root, 'current'));
    answer
      .then(async (healthy) => {
        // An answer of a process that has gone says nothing about the one that runs now.
        if (driver.status().pid !== pid) return;
        await this.#onAnswer(healthy);
        await this.#tell(healthy, version);
      })
      .catch((error: unknown) => {
        log('health cannot be told', { service: service.name, error: String(error) });
      })
      .finally(() => {
        this.#isAsking = false;
      });
  }

  async #tell(healthy: boolean, version: string): Promise<void> {
    const before = this.#isHealthy;
    this.#isHealthy = healthy;
    if (before === healthy || (before === null && healthy)) return;
    const { service, clock, emit } = this.#watched;
    const now = clock.now();
    await emit(service.name, [
      {
        id: `${service.name}:health:${now}`,
        at: new Date(now).toISOString(),
        type: healthy ? 'service_healthy' : 'service_unhealthy',
        severity: healthy ? 'info' : 'warning',
        command_id: null,
        message: healthy ? 'The service is healthy again' : 'The service fails its health check',
        details: { version },
      },
    ]);
  }
}
