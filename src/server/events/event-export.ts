import { Injectable } from '@nestjs/common';
import { EXPORT_SCHEMA, type ExportHead, type SealLine } from '../../core/seal/index.js';
import { Database } from '../platform/index.js';
import { toLine } from './event-rows.js';
import { searchEvents, type EventWanted } from './event-search.js';
import { EventViews } from './event-views.js';
import { Seals } from './seals.js';

/** Events that an export reads at once; what is held in memory of it. */
const PAGE = 500;

interface Stretch {
  readonly after: number;
  readonly through: number;
}

/** The log as lines, from one id to another, for as long as it takes. */
@Injectable()
export class EventExport {
  constructor(
    private readonly database: Database,
    private readonly views: EventViews,
    private readonly seals: Seals,
  ) {}

  /** Throws `events_pruned` before the first line. */
  async plain(
    wanted: EventWanted,
    { after, through, limit }: Stretch & { readonly limit: number },
  ): Promise<AsyncGenerator<string>> {
    const start = await this.views.start(this.database.read, after);
    const end = Math.min(through, start.last);
    return this.#lines(wanted, { after: start.after, through: end }, limit);
  }

  /**
   * With a head, and the seal of each segment behind its last event. It begins where a segment does: perhaps
   * before `after`, so that the first one is whole. Whatever is there already is sealed before.
   */
  async withProof(
    groups: 'all' | readonly string[],
    { after, through }: Stretch,
  ): Promise<AsyncGenerator<string>> {
    const sql = this.database.read;
    await this.seals.sealForProof();
    const start = await this.views.start(sql, after);
    const begin = await this.seals.boundaryBefore(sql, start.after);
    const end = Math.min(through, start.last);
    const sealed = await this.#sealedWithin(begin, end);
    const head: ExportHead = {
      schema: EXPORT_SCHEMA,
      after: begin,
      through: end,
      sealed,
      groups: groups === 'all' ? null : groups,
    };
    return this.#provenLines(head, groups);
  }

  async *#provenLines(head: ExportHead, groups: 'all' | readonly string[]): AsyncGenerator<string> {
    yield `${JSON.stringify(head)}\n`;
    let after = head.after;
    while (after < head.sealed) {
      const page = { after, through: head.sealed, limit: 8, groups };
      for (const { seal, parts } of await this.seals.list(this.database.read, page)) {
        yield* this.#lines({ groups }, { after, through: seal.lastId }, Infinity);
        yield `${JSON.stringify({ seal, parts } satisfies SealLine)}\n`;
        after = seal.lastId;
      }
    }
    yield* this.#lines({ groups }, { after, through: head.through }, Infinity);
  }

  /** The last id of the last segment that ends within. */
  async #sealedWithin(after: number, through: number): Promise<number> {
    const row = await this.database.read.get<{ last_id: number | null }>(
      'SELECT MAX(last_id) AS last_id FROM event_segments WHERE last_id > ? AND last_id <= ?',
      [after, through],
    );
    return row?.last_id ?? after;
  }

  async *#lines(wanted: EventWanted, stretch: Stretch, limit: number): AsyncGenerator<string> {
    let { after } = stretch;
    let left = limit;
    while (after < stretch.through && left > 0) {
      const { rows, next } = await searchEvents(this.database.read, {
        wanted,
        range: { after, through: stretch.through },
        order: 'oldest',
        limit: Math.min(PAGE, left),
      });
      await this.views.requireKept(this.database.read, after);
      left -= rows.length;
      if (rows.length > 0) yield rows.map((row) => `${toLine(row)}\n`).join('');
      if (next === null) return;
      after = next;
    }
  }
}
