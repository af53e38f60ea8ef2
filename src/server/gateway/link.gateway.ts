import { Inject, type BeforeApplicationShutdown } from '@nestjs/common';
import { WebSocketGateway, type OnGatewayConnection, type OnGatewayInit } from '@nestjs/websockets';
import type { Logger } from 'pino';
import { type Clock, CLOCK, CONFIG, type Config, LOGGER, newId } from '../platform/index.js';
import type { Admission } from './link.adapter.js';
import { Links } from './links.js';
import { Session, type LinkHouse, type Opening } from './session.js';

/**
 * Of all links together; one may have 1 MiB. A quarter of the heap that Node takes on a machine of 4 GiB, and what
 * ten thousand nodes read in a second on lines of 200 kbit/s.
 */
const UNREAD_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Links of one node that have not said hello. An honest one has two at the most, while it looks for a better way; with its
 * one key a node could else hold as many sockets as it likes, ten seconds each.
 */
const UNADMITTED_MAX = 8;

/**
 * Makes a Session of each admitted socket and looks after all of them with one timer: late hellos
 * and lost heartbeats are found within a quarter of the heartbeat interval.
 */
@WebSocketGateway()
export class LinkGateway
  implements OnGatewayInit, OnGatewayConnection<Admission>, BeforeApplicationShutdown
{
  /** By node, the oldest first. */
  readonly #unadmitted = new Map<string, Set<Session>>();
  readonly #house: LinkHouse;
  #timer: NodeJS.Timeout | null = null;
  #everyMs = 0;
  #checkedAtMs = 0;

  constructor(
    private readonly links: Links,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) clock: Clock,
    @Inject(LOGGER) log: Logger,
  ) {
    this.#house = {
      links,
      heartbeatIntervalMs: config.heartbeatMs,
      log,
      clock: { now: () => clock.now(), monotonicMs: () => performance.now() },
      onClosed: (session) => {
        this.#forget(session);
      },
    };
  }

  afterInit(): void {
    const everyMs = Math.max(50, this.config.heartbeatMs / 4);
    this.#everyMs = everyMs;
    this.#checkedAtMs = performance.now();
    this.#timer = setInterval(() => {
      this.#check();
    }, everyMs);
    this.#timer.unref();
  }

  handleConnection({ socket, who, place }: Admission): void {
    this.open({ socket, node: who, transport: 'socket', place });
  }

  /** Nobody has said hello on it yet. */
  open(opening: Opening): void {
    const { node } = opening;
    const session = new Session(newId('ses'), this.#house, opening);
    const own = this.#unadmitted.get(node.nodeId) ?? new Set();
    this.#unadmitted.set(node.nodeId, own.add(session));
    const [oldest] = own;
    if (own.size > UNADMITTED_MAX) oldest?.giveWay();
  }

  async beforeApplicationShutdown(): Promise<void> {
    // Nobody else could take them: then the sooner this is over, the better.
    if (await this.#areThereOthers()) await this.links.sendAway(this.config.drainMs);
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const session of this.#strangers()) session.close('going_away');
    await this.links.drain();
  }

  async #areThereOthers(): Promise<boolean> {
    const others = await this.links.elsewhere.others().catch(() => 0);
    return others > 0;
  }

  #check(): void {
    const atMs = performance.now();
    const isLate = atMs - this.#checkedAtMs > 2 * this.#everyMs;
    this.#checkedAtMs = atMs;
    // This process stood still: what nodes said meanwhile has not been read yet, and is no silence of theirs.
    if (isLate) return;
    for (const session of this.#strangers()) {
      if (session.hasGreeted) this.#forget(session);
      else session.check(atMs);
    }
    let unread = 0;
    for (const session of this.links.sessions()) {
      session.check(atMs);
      unread += session.unreadBytes;
    }
    if (unread > UNREAD_BYTES_MAX) this.#cutSlowReaders(unread);
  }

  /** Those with most first, until the rest is half of what is bearable: not again at the next look. */
  #cutSlowReaders(unread: number): void {
    let left = unread;
    const slowest = [...this.links.sessions()].sort((a, b) => b.unreadBytes - a.unreadBytes);
    for (const session of slowest) {
      if (left <= UNREAD_BYTES_MAX / 2) return;
      left -= session.unreadBytes;
      session.cutOff();
    }
  }

  /** Whoever has not said hello. */
  #strangers(): Session[] {
    return [...this.#unadmitted.values()].flatMap((own) => [...own]);
  }

  #forget(session: Session): void {
    const { nodeId } = session.node;
    const own = this.#unadmitted.get(nodeId);
    if (own?.delete(session) === true && own.size === 0) this.#unadmitted.delete(nodeId);
  }
}
