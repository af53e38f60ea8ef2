import type { Bus } from './bus.port.js';

/** Of a manager that is alone: there is nobody to tell. */
export class LocalBus implements Bus {
  readonly isShared = false;

  answerTo(): void {
    // Nobody asks.
  }

  tell(): boolean {
    return false;
  }

  hear(): void {
    // Nobody speaks.
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}
