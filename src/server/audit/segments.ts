import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import {
  ExportVerifier,
  formatHeader,
  leafOf,
  parseCheckpoint,
  verifyFile,
} from '../../core/audit/index.js';
import { DAY_MS, invariant, MINUTE_MS } from '../../core/kernel/index.js';
import { Database } from '../platform/database/index.js';
import { CLOCK, CONFIG, LOGGER, systemCaller, type Clock, type Config } from '../platform/index.js';
import type { Logger } from 'pino';
import { AuditLog } from './audit-log.js';
import { AuditTree } from './audit-tree.js';
import type { StoredCheckpoint } from './checkpoints.js';

/** In the data directory. */
export const SEGMENTS_DIR = 'audit-segments';
/** How often is looked for entries that are old enough. */
const SEALING_INTERVAL_MS = 10 * MINUTE_MS;
const PAGE = 500;
/** Rows that one transaction deletes: writers on SQLite wait for it. */
const DELETES_PER_TRANSACTION = 2_000;

export interface Segment {
  readonly firstId: number;
  readonly lastId: number;
  readonly file: string;
  readonly sha256: string;
}

/** What the log was when a segment was begun. */
interface Plan {
  readonly after: number;
  readonly checkpoint: StoredCheckpoint;
}

/**
 * Retention: old entries go from the table into files that are verified like any export, each up to
 * a checkpoint that lies beside it. The tree keeps every hash, so proofs of sealed entries, and of
 * every later state, stay possible.
 */
@Injectable()
export class Segments implements OnModuleInit, OnModuleDestroy {
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly database: Database,
    private readonly log: AuditLog,
    private readonly tree: AuditTree,
    @Inject(CONFIG) private readonly config: Pick<Config, 'dataDir' | 'auditRetentionDays'>,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    const days = this.config.auditRetentionDays;
    if (days === null) return;
    this.#timer = setInterval(() => {
      this.#running = this.seal(this.clock.now() - days * DAY_MS).catch((error: unknown) => {
        this.logger.error({ err: error }, 'old audit entries could not be sealed');
      });
    }, SEALING_INTERVAL_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /**
   * Seals every entry that a checkpoint of before that moment covers; null when there is none. Safe to
   * repeat after a crash anywhere: entries leave the table only after their file was read back and
   * verified.
   */
  async seal(beforeMs: number): Promise<Segment | null> {
    await this.#sweep();
    const plan = await this.#plan(beforeMs);
    if (plan === null) return null;
    const file = await this.#write(plan);
    const sha256 = await verified(file, plan);
    const segment = { firstId: plan.after + 1, lastId: plan.checkpoint.size, file, sha256 };
    await this.#record(plan, segment);
    await this.#sweep();
    return segment;
  }

  async #plan(beforeMs: number): Promise<Plan | null> {
    const { sealedThrough } = await this.tree.state(this.database.read);
    const row = await this.database.read.get<{
      size: number;
      origin: string;
      note: string;
      made_at: number;
    }>(
      `SELECT size, origin, note, made_at FROM audit_checkpoints
       WHERE made_at <= ? AND size > ? ORDER BY size DESC LIMIT 1`,
      [beforeMs, sealedThrough],
    );
    if (row === undefined) return null;
    const { made_at: madeAt, ...rest } = row;
    return { after: sealedThrough, checkpoint: { ...rest, madeAt } };
  }

  async #write({ after, checkpoint }: Plan): Promise<string> {
    const dir = join(this.config.dataDir, SEGMENTS_DIR);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const [first, last] = [after + 1, checkpoint.size].map((id) => String(id).padStart(12, '0'));
    const path = join(dir, `audit-${first}-${last}.ndjson`);
    await writeWhole(`${path}.checkpoint`, [checkpoint.note]);
    await writeWhole(path, this.lines(after, checkpoint.size, checkpoint.origin));
    return path;
  }

  /** An export that can be verified: header, then each entry as its leaf. In pages, never as a whole. */
  async *lines(after: number, through: number, origin: string): AsyncGenerator<string> {
    const { hashes } = await this.tree.frontier(this.database.read, after);
    const before = hashes.map((hash) => hash.toString('base64'));
    yield `${formatHeader({ origin, after, before })}\n`;
    for (let at = after; at < through;) {
      const stretch = { after: at, through, limit: PAGE, groups: 'all' } as const;
      const entries = await this.log.readOn(this.database.read, stretch);
      const last = entries.at(-1);
      if (last === undefined) return;
      yield entries.map((entry) => `${leafOf(entry)}\n`).join('');
      at = last.id;
    }
  }

  async #record(plan: Plan, { firstId, lastId, file, sha256 }: Segment): Promise<void> {
    await this.database.transaction(async (tx) => {
      const moved = await tx.run(
        'UPDATE audit_tree SET sealed_through = ? WHERE id = 1 AND sealed_through = ?',
        [lastId, plan.after],
      );
      invariant(moved === 1, 'another manager sealed the same entries');
      await tx.run(
        `INSERT INTO audit_segments (first_id, last_id, file, sha256, sealed_at)
         VALUES (?, ?, ?, ?, ?)`,
        [firstId, lastId, file, sha256, this.clock.now()],
      );
      await this.log.append(tx, {
        caller: systemCaller('audit'),
        action: 'audit.seal',
        targetKind: 'audit_segment',
        targetId: `${firstId}-${lastId}`,
        groupId: null,
        outcome: 'allowed',
        details: { first: firstId, last: lastId, sha256 },
      });
    });
  }

  /** Takes sealed entries out of the table, a few at a time; goes on where a crash left off. */
  async #sweep(): Promise<void> {
    const { sealedThrough } = await this.tree.state(this.database.read);
    for (;;) {
      const first = await this.database.read.get<{ id: number }>(
        'SELECT id FROM audit_entries ORDER BY id LIMIT 1',
      );
      if (first === undefined || first.id > sealedThrough) return;
      const upTo = Math.min(sealedThrough, first.id + DELETES_PER_TRANSACTION);
      await this.database.transaction((tx) =>
        tx.run('DELETE FROM audit_entries WHERE id <= ?', [upTo]),
      );
    }
  }
}

/** Durable, and there as a whole or not at all. */
async function writeWhole(
  path: string,
  chunks: Iterable<string> | AsyncIterable<string>,
): Promise<void> {
  const temporary = `${path}.tmp`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Reads the file back as a stranger would, and gives its digest. */
async function verified(path: string, plan: Plan): Promise<string> {
  const checkpoint = parseCheckpoint(await readFile(`${path}.checkpoint`, 'utf8'));
  invariant(checkpoint.ok, 'a checkpoint of ours cannot be read');
  const verifier = new ExportVerifier([checkpoint.value]);
  const digest = createHash('sha256');
  const hashed = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      digest.update(chunk);
      yield chunk;
    }
  };
  const read = await verifyFile(verifier, hashed(createReadStream(path)));
  invariant(read.ok, read.ok ? '' : `segment ${path}: ${read.error.message}`);
  const ended = verifier.end();
  invariant(
    ended.ok && ended.value.first === plan.after + 1,
    `segment ${path} is not what the checkpoint was signed for`,
  );
  return digest.digest('hex');
}
