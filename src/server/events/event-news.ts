import { Inject, Injectable } from '@nestjs/common';
import { BUS, type Bus } from '../platform/index.js';
import { EventLog } from './event-log.js';

/** Commits that come within this time are told as one. */
const TOGETHER_MS = 5;

/**
 * Managers tell each other that there are new events, so that live readers, sinks and alerts of one need not wait
 * for their next look at what another one committed.
 */
@Injectable()
export class EventNews {
  #timer: NodeJS.Timeout | null = null;

  constructor(
    log: EventLog,
    @Inject(BUS) private readonly bus: Bus,
  ) {
    if (!bus.isShared) return;
    log.onCommitted(() => this.#tell());
    bus.hear('events', () => log.appendedElsewhere());
  }

  #tell(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.bus.tell('events', {});
    }, TOGETHER_MS).unref();
  }
}
