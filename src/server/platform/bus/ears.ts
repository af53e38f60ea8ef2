import type { Logger } from 'pino';
import { read, type MessageOf, type Topic } from './topics.js';

type Handler = (message: never) => void;

/** Who listens to what in this process. */
export class Ears {
  readonly #handlers = new Map<Topic, Handler[]>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  add<T extends Topic>(topic: T, handler: (message: MessageOf<T>) => void): void {
    const known = this.#handlers.get(topic) ?? [];
    this.#handlers.set(topic, [...known, handler]);
  }

  /** False when it was nothing that a manager says; then nobody heard it. */
  hear(text: string, self: string): boolean {
    const heard = read(text);
    if (heard === null) return false;
    if (heard.from === self) return true;
    for (const handler of this.#handlers.get(heard.topic) ?? []) {
      try {
        handler(heard.body as never);
      } catch (error) {
        this.#log.error(
          { err: error, topic: heard.topic },
          'what another manager said failed here',
        );
      }
    }
    return true;
  }
}
