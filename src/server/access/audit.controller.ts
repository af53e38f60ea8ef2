import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Controller, Res } from '@nestjs/common';
import type { Response } from 'express';
import { MINUTE_MS } from '../../core/kernel/index.js';
import { CSV_HEAD, csvLine, formatHeader, leafOf } from '../../core/audit/index.js';
import type { Answer, AuditEntry, Input } from '../../protocol/api/index.js';
import { AuditKey, AuditLog, AuditTree, type AuditWanted } from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { Access } from './access.js';
import { ExportSlots } from './export-slots.js';
import { Groups } from './groups.store.js';

/** Entries that an export reads at once; what is held in memory of it. */
const EXPORT_PAGE = 500;
/** A reader that takes nothing for this long is cut off: it holds a page, and its place. */
const STALL_TIMEOUT_MS = MINUTE_MS;

const TYPES = {
  ndjson: 'application/x-ndjson; charset=utf-8',
  json: 'application/json; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
} as const;

/** Reading the audit log. It lives here because who may read what is a question of access. */
@Controller()
export class AuditController {
  readonly #slots = new ExportSlots();

  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly groups: Groups,
    private readonly audit: AuditLog,
    private readonly tree: AuditTree,
    private readonly key: AuditKey,
  ) {}

  /** Whoever is no platform admin sees the entries of the groups that he administers. */
  @Endpoint('audit.list')
  async list(
    @Given() { query }: Input<'audit.list'>,
    @Who() caller: Caller,
  ): Promise<Answer<'audit.list'>> {
    const { cursor, limit, group_id: groupId, ...wanted } = query;
    const entries = await this.audit.read(this.database.read, {
      ...wanted,
      before: readCursor(cursor)?.at ?? null,
      limit: limit + 1,
      groups: await this.#groups(caller, groupId),
    });
    const show = <T>(entry: T): T => entry;
    return pageFrom(entries, limit, (entry) => ({ at: entry.id, id: 'audit' }), show);
  }

  /** The same as one stream, in pages: a long log takes no more memory than a short one. */
  @Endpoint('audit.export')
  async export(
    @Given() { query }: Input<'audit.export'>,
    @Who() caller: Caller,
    @Res() response: Response,
  ): Promise<void> {
    const { format, after, through, group_id: groupId, ...wanted } = query;
    const groups = await this.#groups(caller, groupId);
    const isWhole = groups === 'all' && isUnfiltered(wanted);
    const { size, sealedThrough } = await this.tree.state(this.database.read);
    const from = Math.max(after, sealedThrough);
    const head = await this.audit.head(this.database.read);
    const pages = this.#pages(wanted, {
      groups,
      after: from,
      through: Math.min(through ?? head, head),
    });
    // Only what is whole can be verified, and only behind what the tree knows.
    const header = format === 'ndjson' && isWhole && from <= size ? await this.#header(from) : '';
    const release = this.#slots.begin(caller.id);
    response.setHeader('Content-Type', TYPES[format]);
    response.setHeader('Content-Disposition', `attachment; filename="audit.${format}"`);
    response.setTimeout(STALL_TIMEOUT_MS, () => response.destroy());
    try {
      await pipeline(Readable.from(FORMS[format](pages, header)), response);
    } catch (error) {
      // A reader that hangs up has made up its mind; there is nobody left to answer.
      if ((error as { code?: string }).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
    } finally {
      release();
    }
  }

  async #header(after: number): Promise<string> {
    const { hashes } = await this.tree.frontier(this.database.read, after);
    const before = hashes.map((hash) => hash.toString('base64'));
    return `${formatHeader({ origin: this.key.origin, after, before })}\n`;
  }

  async *#pages(
    wanted: AuditWanted,
    stretch: {
      readonly groups: 'all' | readonly string[];
      readonly after: number;
      readonly through: number;
    },
  ): AsyncGenerator<readonly AuditEntry[]> {
    for (let { after } = stretch; ;) {
      const page = { ...wanted, ...stretch, after, limit: EXPORT_PAGE };
      const entries = await this.audit.readOn(this.database.read, page);
      if (entries.length > 0) yield entries;
      const last = entries.at(-1);
      if (last === undefined || entries.length < EXPORT_PAGE) return;
      after = last.id;
    }
  }

  /** Groups whose entries are shown; with `groupId` that one and those below it. */
  async #groups(caller: Caller, groupId: string | undefined): Promise<'all' | readonly string[]> {
    if (groupId === undefined) return this.access.visibleGroups(caller, 'audit.view');
    await this.access.require(caller, 'audit.view', groupId);
    return this.groups.subtree(groupId);
  }
}

const isUnfiltered = (wanted: AuditWanted): boolean =>
  Object.values(wanted as Record<string, unknown>).every((value) => value === undefined);

type Pages = AsyncIterable<readonly AuditEntry[]>;
const FORMS = {
  ndjson: async function* (pages: Pages, header: string): AsyncGenerator<string> {
    if (header !== '') yield header;
    for await (const page of pages) yield page.map((entry) => `${leafOf(entry)}\n`).join('');
  },
  json: async function* (pages: Pages): AsyncGenerator<string> {
    let separator = '[';
    for await (const page of pages) {
      for (const entry of page) {
        yield `${separator}\n${leafOf(entry)}`;
        separator = ',';
      }
    }
    yield separator === '[' ? '[]\n' : '\n]\n';
  },
  csv: async function* (pages: Pages): AsyncGenerator<string> {
    yield CSV_HEAD;
    for await (const page of pages) yield page.map((entry) => csvLine(entry)).join('');
  },
} as const satisfies Record<string, (pages: Pages, header: string) => AsyncGenerator<string>>;
