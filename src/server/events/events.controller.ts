import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Controller, Res } from '@nestjs/common';
import type { Response } from 'express';
import { FleetError, toIso } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { type Caller, Database, Endpoint, Given, Who } from '../platform/index.js';
import { countEvents } from './event-counts.js';
import { EventExport } from './event-export.js';
import { EventLog } from './event-log.js';
import { toEvent } from './event-rows.js';
import { searchEvents } from './event-search.js';
import { EventViews } from './event-views.js';
import { Seals } from './seals.js';

@Controller()
export class EventsController {
  constructor(
    private readonly database: Database,
    private readonly views: EventViews,
    private readonly log: EventLog,
    private readonly seals: Seals,
    private readonly exports: EventExport,
  ) {}

  @Endpoint('events.list')
  async list(
    @Given() { query }: Input<'events.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'events.list'>> {
    const { after, before, order, limit, ...asked } = query;
    const wanted = await this.views.wanted(caller, asked);
    const start = await this.views.start(this.database.read, after);
    const range = {
      after: start.after,
      through: Math.min(start.last, (before ?? Infinity) - 1),
    };
    const { rows, next } = await searchEvents(this.database.read, { wanted, range, order, limit });
    const end = Math.max(start.last, after);
    return {
      items: rows.map(toEvent),
      next_after: order === 'oldest' ? (next ?? end) : end,
      next_before: order === 'newest' ? next : null,
    };
  }

  @Endpoint('events.counts')
  async counts(
    @Given() { query }: Input<'events.counts'>,
    @Who() caller: Caller,
  ): Promise<Answer<'events.counts'>> {
    const { since, until, bucket_minutes: bucketMinutes, by, ...asked } = query;
    const wanted = await this.views.wanted(caller, asked);
    const [sinceMs, untilMs] = [Date.parse(since), Date.parse(until)];
    return countEvents(this.database.read, wanted, { sinceMs, untilMs, bucketMinutes, by });
  }

  /** In pages: a long log takes no more memory than a short one, and a slow reader holds up nobody. */
  @Endpoint('events.export')
  async export(
    @Given() { query }: Input<'events.export'>,
    @Who() caller: Caller,
    @Res() response: Response,
  ): Promise<void> {
    const { after, through, limit, proof, ...asked } = query;
    if (proof && (limit !== undefined || isFiltered(asked))) {
      const message = 'leave out every filter: a seal covers all that you see';
      throw new FleetError('invalid_request', `query.proof: ${message}`, {
        context: { problems: [{ path: 'query.proof', message }] },
      });
    }
    const wanted = await this.views.wanted(caller, asked);
    const stretch = { after, through: through ?? Infinity };
    const lines = proof
      ? await this.exports.withProof(wanted.groups, stretch)
      : await this.exports.plain(wanted, { ...stretch, limit: limit ?? Infinity });
    response.setHeader('Content-Type', 'application/x-ndjson; charset=utf-8');
    response.setHeader('Content-Disposition', 'attachment; filename="events.ndjson"');
    try {
      await pipeline(Readable.from(lines), response);
    } catch (error) {
      // A reader that hangs up has made up its mind; there is nobody left to answer.
      if ((error as { code?: string }).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    }
  }

  @Endpoint('events.segments')
  async segments(
    @Given() { query }: Input<'events.segments'>,
    @Who() caller: Caller,
  ): Promise<Answer<'events.segments'>> {
    const groups = await this.views.visible(caller);
    const sql = this.database.read;
    const { last, prunedThrough } = await this.log.head(sql);
    const page = await this.seals.list(sql, { ...query, through: last, groups });
    return {
      items: page.map(({ seal, parts, firstAt, lastAt, sealedAt }) => ({
        seal: { ...seal, leaves: [...seal.leaves] },
        parts: [...parts],
        first_at: toIso(firstAt),
        last_at: toIso(lastAt),
        sealed_at: toIso(sealedAt),
        pruned: seal.lastId <= prunedThrough,
      })),
      next_after: page.at(-1)?.seal.lastId ?? query.after,
      oldest: prunedThrough + 1,
      sealed_through: await this.seals.sealedThrough(sql),
      newest: last,
    };
  }
}

const isFiltered = (asked: object): boolean =>
  Object.values(asked).some((value) => value !== undefined);
