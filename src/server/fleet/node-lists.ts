import { Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import type { Input } from '../../protocol/api/index.js';
import { NodeSearch, type NodeFilter, type NodePlace } from './node-search.js';
import type { FleetNode } from './nodes.store.js';
import { SoftwareBook } from './software-book.js';

type Wish = Input<'nodes.list'>['query'];

const CURSOR = /^\{"sort":"(\w+)","key":(.*),"id":"([a-z0-9_]{1,60})"\}$/su;

/** From what is asked for to a page of nodes. */
@Injectable()
export class NodeLists {
  constructor(
    private readonly search: NodeSearch,
    private readonly software: SoftwareBook,
  ) {}

  /** Throws `invalid_request` for a cursor of another sort, or a sort without an index. */
  async page(
    groups: 'all' | readonly string[],
    wish: Wish,
  ): Promise<{
    readonly nodes: readonly FleetNode[];
    readonly next_cursor: string | null;
    readonly total: number | null;
  }> {
    const { product, version, below, outdated } = wish;
    const filter: NodeFilter = {
      groups,
      status: wish.status,
      labels: (wish.label ?? []).map(pairOf),
      software: await this.software.fitting({ product, version, below, outdated }),
      upgrader: wish.upgrader,
      badge: wish.upgrade,
      text: wish.text,
      isGone: wish.sort === 'last_seen_at' && wish.status === 'offline',
    };
    const found = await this.search.page(filter, wish, {
      after: placeOf(wish),
      limit: wish.limit + 1,
    });
    const nodes = found.nodes.slice(0, wish.limit);
    const last = found.nodes.length > wish.limit ? nodes.at(-1) : undefined;
    const place = last === undefined ? undefined : found.places.get(last.id);
    return {
      nodes,
      next_cursor: place === undefined ? null : cursorOf(wish, place),
      total: wish.total === true ? await this.search.count(filter) : null,
    };
  }
}

const pairOf = (text: string): readonly [string, string] => {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
};

const cursorOf = ({ sort }: Wish, { key, id }: NodePlace): string =>
  Buffer.from(JSON.stringify({ sort, key, id })).toString('base64url');

/** Back from what `cursorOf` wrote, for the same sort. */
function placeOf({ cursor, sort }: Wish): NodePlace | null {
  if (cursor === undefined) return null;
  const [, of, text = '', id = ''] =
    CURSOR.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? [];
  const key = of === sort ? keyIn(text) : null;
  const isNumber = sort === 'enrolled_at' || sort === 'last_seen_at';
  if (key === null || (typeof key === 'number') !== isNumber) {
    const message = 'give back `next_cursor` as it was, with the same sort';
    throw new FleetError('invalid_request', `query.cursor: ${message}`, {
      context: { problems: [{ path: 'query.cursor', message }] },
    });
  }
  return { key, id };
}

function keyIn(text: string): string | number | null {
  try {
    const key: unknown = JSON.parse(text);
    if (typeof key === 'string') return key.includes('\u0000') ? null : key;
    return Number.isSafeInteger(key) ? (key as number) : null;
  } catch {
    return null;
  }
}
