import { Inject, type BeforeApplicationShutdown } from '@nestjs/common';
import { WebSocketGateway, type OnGatewayConnection, type OnGatewayInit } from '@nestjs/websockets';
import type { Logger } from 'pino';
import { type Clock, CLOCK, CONFIG, type Config, LOGGER, newId } from '../platform/index.js';
import type { Admission } from './link.adapter.js';
import { Links } from './links.js';
import type { NodeIdentity } from './ports.js';
import { Session } from './session.js';
import type { Transport, Wire } from './wire.js';

/** Something that carries messages of a node that is known. */
export interface Opening {
  readonly wire: Wire;
  readonly node: NodeIdentity;
  readonly transport: Transport;
  readonly pollId?: string;
}

/**
 * Makes a Session of each admitted socket and looks after all of them with one timer: late hellos
 * and lost heartbeats are found within a quarter of the heartbeat interval.
 */
@WebSocketGateway()
export class LinkGateway
  implements OnGatewayInit, OnGatewayConnection<Admission>, BeforeApplicationShutdown
{
  readonly #unadmitted = new Set<Session>();
  #timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly links: Links,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  afterInit(): void {
    const everyMs = Math.max(50, this.config.heartbeatMs / 4);
    this.#timer = setInterval(() => {
      this.#check();
    }, everyMs);
    this.#timer.unref();
  }

  handleConnection({ socket, who }: Admission): void {
    this.open({ wire: socket, node: who, transport: 'socket' });
  }

  /** Nobody has said hello on it yet. */
  open({ wire, node, transport, pollId }: Opening): void {
    const session = new Session({
      id: newId('ses'),
      node,
      socket: wire,
      transport,
      ...(pollId === undefined ? {} : { pollId }),
      links: this.links,
      heartbeatIntervalMs: this.config.heartbeatMs,
      log: this.log,
      now: () => this.clock.now(),
    });
    this.#unadmitted.add(session);
    wire.once('close', () => this.#unadmitted.delete(session));
  }

  async beforeApplicationShutdown(): Promise<void> {
    // Nobody else could take them: then the sooner this is over, the better.
    if (await this.#areThereOthers()) await this.links.sendAway(this.config.drainMs);
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const session of this.#unadmitted) session.close('going_away');
    await this.links.drain();
  }

  async #areThereOthers(): Promise<boolean> {
    const others = await this.links.elsewhere.others().catch(() => 0);
    return others > 0;
  }

  #check(): void {
    const nowMs = this.clock.now();
    for (const session of this.#unadmitted) {
      if (session.hasGreeted) this.#unadmitted.delete(session);
      else session.check(nowMs);
    }
    for (const session of this.links.sessions()) session.check(nowMs);
  }
}
