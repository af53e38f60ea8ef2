import {
  Inject,
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { Logger } from 'pino';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { Links, type OpenLink } from '../gateway/index.js';
import { BUS, Database, LOGGER, Members, type Bus } from '../platform/index.js';
import { linksHeldBy, linksOf, lostManagers, type LinkRow } from './links.store.js';
import { Presence } from './presence.js';

/** What hints and burials bring at once is found after this time, whatever was lost. */
const SWEEP_EVERY_MS = 15 * SECOND_MS;
/** Links ended in one transaction. */
const LOST_BATCH = 500;
/** Nodes that wait to be looked at; what is more is found by the sweep. */
const ASKED_MAX = 20_000;
/** A manager of an older version writes at least once a minute of each node that it has. */
const FORGOTTEN_MS = 2 * MINUTE_MS;

/**
 * Keeps the links of this manager in step with what is written in SQL, where the newest link of a node is
 * written whichever manager has it. Told by the others it looks at once, and else every 15 s: closes links that
 * are not the newest any more, or whose node was revoked or transferred; ends, in SQL, those that it does
 * not have, and those of managers that are gone. On SQLite there is nobody to be in step with.
 */
@Injectable()
export class LinkWatch implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #asked = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #work: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(
    private readonly database: Database,
    private readonly presence: Presence,
    private readonly links: Links,
    private readonly members: Members,
    @Inject(BUS) bus: Bus,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    if (!members.isShared) return;
    bus.hear('nodes', ({ ids }) => this.#ask(ids));
    members.onBurial((managerId) => this.#bury(managerId));
    members.onExpelled(() => this.#letGo());
  }

  onApplicationBootstrap(): void {
    if (!this.members.isShared) return;
    this.#then(() => this.sweep());
    this.#timer = setInterval(() => this.#then(() => this.sweep()), SWEEP_EVERY_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#isStopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#work;
  }

  /** All links of this manager against all that is written of it. Safe to repeat. */
  async sweep(): Promise<void> {
    const here = [...this.links.sessions()].filter(({ isRecorded }) => isRecorded);
    const written = await linksHeldBy(this.database.read, this.members.id);
    const byNode = new Map(written.map((row) => [row.id, row]));
    const odd = here.filter((link) => reasonToClose(link, byNode.get(link.node.nodeId)) !== null);
    await this.#compare(odd);
    for (const { id, group_id: groupId, link_session: sessionId } of written) {
      if (sessionId === null || this.links.holds(id, sessionId)) continue;
      // Its end could not be written when it came.
      const node = { nodeId: id, groupId, publicKey: '', revoked: false };
      await this.presence.left(node, sessionId, 'connection_lost');
    }
    for (const managerId of await lostManagers(this.database.read)) await this.#bury(managerId);
    await this.presence.forgotten(FORGOTTEN_MS);
  }

  #ask(ids: readonly string[]): void {
    const before = this.#asked.size;
    for (const id of ids) {
      if (this.#asked.size < ASKED_MAX && this.links.online(id)) this.#asked.add(id);
    }
    if (before > 0 || this.#asked.size === 0) return;
    this.#then(async () => {
      const asked = new Set(this.#asked);
      this.#asked.clear();
      const sessions = [...this.links.sessions()];
      await this.#compare(sessions.filter(({ node }) => asked.has(node.nodeId)));
    });
  }

  /** Closes those that SQL speaks against. What is not recorded yet will be the newest. */
  async #compare(links: readonly OpenLink[]): Promise<void> {
    const recorded = links.filter(({ isRecorded }) => isRecorded);
    const rows = await linksOf(
      this.database.read,
      recorded.map(({ node }) => node.nodeId),
    );
    const byNode = new Map(rows.map((row) => [row.id, row]));
    for (const link of recorded) {
      const reason = reasonToClose(link, byNode.get(link.node.nodeId));
      if (reason !== null) link.close(reason);
    }
  }

  /** In parts, so that nobody waits long for the counter of events. */
  async #bury(managerId: string): Promise<void> {
    while (!this.#isStopping && (await this.presence.lost(managerId, LOST_BATCH)) === LOST_BATCH);
  }

  /** Others were told that these nodes are gone: they come anew, here or there. */
  #letGo(): void {
    for (const link of this.links.sessions()) link.close('going_away');
  }

  /** One after another. Never rejects: the next sweep finds what failed. */
  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#isStopping) return;
      await work().catch((error: unknown) => {
        this.log.warn({ err: error }, 'links could not be compared with what is written of them');
      });
    });
  }
}

/** Null: it may stay. */
function reasonToClose(
  link: OpenLink,
  row: LinkRow | undefined,
): 'revoked' | 'superseded' | 'going_away' | null {
  if (row === undefined || row.status === 'revoked') return 'revoked';
  // Another one, here or elsewhere, is the newest; with none at all it was ended for us.
  if (row.link_session !== link.id) return row.link_session === null ? 'going_away' : 'superseded';
  return row.group_id === link.node.groupId ? null : 'going_away';
}
