import { Controller } from '@nestjs/common';
import { parseCheckpoint } from '../../core/audit/index.js';
import { FleetError, invariant, toIso } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import {
  AuditKey,
  AuditLog,
  AuditTree,
  Checkpoints,
  type StoredCheckpoint,
} from '../audit/index.js';
import { Database } from '../platform/database/index.js';
import { Endpoint, Given, pageFrom, readCursor, Who, type Caller } from '../platform/http/index.js';
import { Access } from './access.js';

const textOf = (hash: Uint8Array): string => Buffer.from(hash).toString('base64');

/** What makes the audit log checkable from outside: its key, its checkpoints, its proofs. */
@Controller()
export class AuditProofsController {
  constructor(
    private readonly database: Database,
    private readonly access: Access,
    private readonly audit: AuditLog,
    private readonly tree: AuditTree,
    private readonly checkpoints: Checkpoints,
    private readonly auditKey: AuditKey,
  ) {}

  @Endpoint('audit.key')
  async key(): Promise<Answer<'audit.key'>> {
    return { origin: this.auditKey.origin, verifier_key: this.auditKey.verifierKey };
  }

  @Endpoint('audit.checkpoints')
  async list(@Given() { query }: Input<'audit.checkpoints'>): Promise<Answer<'audit.checkpoints'>> {
    const below = readCursor(query.cursor)?.at ?? null;
    const rows = await this.checkpoints.list(this.database.read, { below, limit: query.limit + 1 });
    return pageFrom(rows, query.limit, ({ size }) => ({ at: size, id: 'audit' }), checkpointView);
  }

  @Endpoint('audit.checkpoint')
  async make(): Promise<Answer<'audit.checkpoint'>> {
    return checkpointView(await this.checkpoints.make());
  }

  /** An entry that the caller may not see is not found, as everywhere. */
  @Endpoint('audit.inclusion')
  async inclusion(
    @Given() { params, query }: Input<'audit.inclusion'>,
    @Who() caller: Caller,
  ): Promise<Answer<'audit.inclusion'>> {
    const { entry } = params;
    const groups = await this.access.visibleGroups(caller, 'audit.view');
    if (groups !== 'all') {
      const stretch = { after: entry - 1, through: entry, limit: 1, groups };
      const [found] = await this.audit.readOn(this.database.read, stretch);
      if (found === undefined) throw new FleetError('not_found', 'no such entry');
    }
    const newest = await this.checkpoints.newest(this.database.read);
    const size = query.size ?? newest?.size ?? 0;
    const { leaf, path } = await this.tree.inclusion(this.database.read, entry, size);
    const { root } = await this.tree.frontier(this.database.read, size);
    return { entry, size, root: textOf(root), leaf: textOf(leaf), path: path.map(textOf) };
  }

  @Endpoint('audit.consistency')
  async consistency(
    @Given() { query }: Input<'audit.consistency'>,
  ): Promise<Answer<'audit.consistency'>> {
    return this.#consistency(query);
  }

  @Endpoint('audit.node_consistency')
  async nodeConsistency(
    @Given() { query }: Input<'audit.node_consistency'>,
  ): Promise<Answer<'audit.node_consistency'>> {
    return this.#consistency(query);
  }

  async #consistency({
    from,
    to,
  }: {
    readonly from: number;
    readonly to: number;
  }): Promise<Answer<'audit.consistency'>> {
    const path = await this.tree.consistency(this.database.read, from, to);
    return { from, to, path: path.map(textOf) };
  }
}

function checkpointView({
  size,
  origin,
  note,
  madeAt,
}: StoredCheckpoint): Answer<'audit.checkpoint'> {
  const read = parseCheckpoint(note);
  invariant(read.ok, 'a stored checkpoint cannot be read');
  return { origin, size, root: textOf(read.value.root), made_at: toIso(madeAt), note };
}
