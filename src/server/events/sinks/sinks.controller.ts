import { Controller } from '@nestjs/common';
import { decide } from '../../../core/access/index.js';
import { FleetError, toIso } from '../../../core/kernel/index.js';
import type { Answer, Input } from '../../../protocol/api/index.js';
import { Access } from '../../access/index.js';
import {
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
} from '../../platform/index.js';
import { listDeadLetters } from './dead-letters.store.js';
import { Sinks } from './sinks.js';
import { listSinks, type SinkRecord } from './sinks.store.js';

/**
 * Sinks over HTTP. Those of a group belong to its admins and those above; those of the platform see all
 * groups, and so belong to whoever holds the permission everywhere.
 */
@Controller()
export class SinksController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly sinks: Sinks,
  ) {}

  @Endpoint('sinks.list')
  async list(
    @Given() { query }: Input<'sinks.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.list'>> {
    const groups = await this.access.visibleOnly(caller, 'sink.manage', query.group_id);
    const after = readCursor(query.cursor);
    const limit = query.limit + 1;
    const rows = await listSinks(this.database.read, { groups, after, limit });
    const page = pageFrom(
      rows,
      query.limit,
      ({ createdAt, id }) => ({ at: createdAt, id }),
      (row) => row,
    );
    return { ...page, items: await Promise.all(page.items.map((row) => this.sinks.view(row))) };
  }

  @Endpoint('sinks.create')
  async create(
    @Given() { body }: Input<'sinks.create'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.create'>> {
    if (body.group_id !== null) await this.access.require(caller, 'sink.manage', body.group_id);
    else if (!isHeldEverywhere(caller)) {
      throw new FleetError('insufficient_role', 'a sink of the platform sees all groups', {
        context: { required_role: 'super_admin' },
      });
    }
    // A filter names groups that exist, or it would let nothing through and nobody would know why.
    for (const group of body.filter.groups ?? []) {
      await this.access.require(caller, 'group.view', group);
    }
    return this.sinks.create(body, caller);
  }

  @Endpoint('sinks.show')
  async show(
    @Given() { params }: Input<'sinks.show'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.show'>> {
    return this.sinks.view(await this.#own(caller, params.id));
  }

  @Endpoint('sinks.change')
  async change(
    @Given() { params, body }: Input<'sinks.change'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.change'>> {
    await this.#own(caller, params.id);
    for (const group of body.filter?.groups ?? []) {
      await this.access.require(caller, 'group.view', group);
    }
    return this.sinks.change(params.id, body, caller);
  }

  @Endpoint('sinks.remove')
  async remove(@Given() { params }: Input<'sinks.remove'>, @Who() caller: Caller): Promise<void> {
    await this.#own(caller, params.id);
    await this.sinks.remove(params.id, caller);
  }

  @Endpoint('sinks.rotate_secret')
  async rotateSecret(
    @Given() { params, body }: Input<'sinks.rotate_secret'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.rotate_secret'>> {
    await this.#own(caller, params.id);
    return this.sinks.rotateSecret(params.id, body, caller);
  }

  @Endpoint('sinks.test')
  async test(
    @Given() { params }: Input<'sinks.test'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.test'>> {
    await this.#own(caller, params.id);
    return this.sinks.test(params.id, caller);
  }

  @Endpoint('sinks.pause')
  async pause(
    @Given() { params }: Input<'sinks.pause'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.pause'>> {
    await this.#own(caller, params.id);
    return this.sinks.pause(params.id, caller);
  }

  @Endpoint('sinks.resume')
  async resume(
    @Given() { params }: Input<'sinks.resume'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.resume'>> {
    await this.#own(caller, params.id);
    return this.sinks.resume(params.id, caller);
  }

  @Endpoint('sinks.backfill')
  async backfill(
    @Given() { params, body }: Input<'sinks.backfill'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.backfill'>> {
    await this.#own(caller, params.id);
    return this.sinks.backfill(params.id, body, caller);
  }

  @Endpoint('sinks.dead_letters')
  async deadLetters(
    @Given() { params, query }: Input<'sinks.dead_letters'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.dead_letters'>> {
    await this.#own(caller, params.id);
    const after = readCursor(query.cursor)?.at ?? 0;
    const limit = query.limit + 1;
    const rows = await listDeadLetters(this.database.read, params.id, { after, limit });
    return pageFrom(
      rows,
      query.limit,
      ({ event }) => ({ at: event.id, id: 'letter' }),
      ({ event, code, message, tries, at, isWanted }) => ({
        event_id: event.id,
        type: event.type,
        group_id: event.group_id,
        code,
        message,
        tries,
        at: toIso(at),
        replaying: isWanted,
      }),
    );
  }

  @Endpoint('sinks.replay')
  async replay(
    @Given() { params, body }: Input<'sinks.replay'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.replay'>> {
    await this.#own(caller, params.id);
    return { count: await this.sinks.replay(params.id, body.event_ids ?? null, caller) };
  }

  @Endpoint('sinks.discard')
  async discard(
    @Given() { params, body }: Input<'sinks.discard'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sinks.discard'>> {
    await this.#own(caller, params.id);
    return { count: await this.sinks.discard(params.id, body.event_ids ?? null, caller) };
  }

  /** The sink, when the caller may manage it; else `not_found`, or `insufficient_role` for its viewers. */
  async #own(caller: Caller, id: string): Promise<SinkRecord> {
    const sink = await this.sinks.find(id);
    // Held everywhere: also on groups that were deleted, whose sinks somebody has to clear away.
    if (isHeldEverywhere(caller)) return sink;
    if (sink.groupId === null) throw new FleetError('not_found', 'no such sink');
    await this.access.require(caller, 'sink.manage', sink.groupId);
    return sink;
  }
}

const isHeldEverywhere = (caller: Caller): boolean => decide(caller.grants, 'sink.manage', []).ok;
