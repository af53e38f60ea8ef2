import { Inject, Injectable } from '@nestjs/common';
import { FleetError, toIso } from '../../core/kernel/index.js';
import {
  ChannelIndex,
  documentDigest,
  DowngradePermit,
  parseDocument,
  checkSignatureForm,
  type SignedDocument,
} from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { AuditLog } from '../audit/index.js';
import { EventLog } from '../events/index.js';
import { CLOCK, Database, type Caller, type Clock, type Sql, type Tx } from '../platform/index.js';

/** Group under which release events are filed: everybody's root. */
const ROOT_GROUP = 'grp_default';

type Kind = 'channel' | 'downgrade';

/** What the manager reads out of a document; all else is for the nodes. */
interface Known {
  readonly kind: Kind;
  readonly product: string;
  readonly channel: 'stable' | 'beta' | 'dev';
  /** The version that a permit leads to; empty for an index. */
  readonly subject: string;
  readonly sequence: number;
  readonly expires_at: string;
}

export interface IndexHead {
  readonly product: string;
  readonly channel: Known['channel'];
  readonly sequence: number;
}

interface Listed extends IndexHead {
  readonly kind: Kind;
  readonly subject: string;
  readonly sha256: string;
  readonly expires_at: number;
  readonly stored_at: number;
}

interface Row {
  readonly sequence: number;
  readonly sha256: string;
  readonly document: string;
  readonly signatures: string;
  readonly stored_at: number;
}

/** Signed documents beside the releases: what is current on a channel, and leave to go back. */
@Injectable()
export class Documents {
  constructor(
    private readonly database: Database,
    private readonly audit: AuditLog,
    private readonly events: EventLog,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Keeps a document. The same text again gives the same answer, with the signatures that came
   * first; another one needs a higher sequence than all before it (`release_document_superseded`).
   */
  async announce(signed: SignedDocument, caller: Caller): Promise<Answer<'documents.announce'>> {
    const bytes = Buffer.from(signed.document, 'utf8');
    const known = knownOf(bytes);
    for (const text of signed.signatures) {
      const signature = checkSignatureForm(text);
      if (!signature.ok) throw new FleetError(signature.error.code, signature.error.message);
    }
    const sha256 = documentDigest(bytes);
    const now = this.clock.now();
    const storedAt = await this.database.transaction(async (tx) => {
      const newest = await newestOf(tx, known);
      if (newest?.sha256 === sha256) return newest.stored_at;
      if (newest !== undefined && newest.sequence >= known.sequence) throw superseded(newest);
      const isStored = await insert(tx, known, { ...signed, sha256, now });
      if (!isStored) throw superseded({ sequence: known.sequence });
      await this.#tell(tx, known, { caller, sha256, now });
      return now;
    });
    const { kind, product, channel, subject, sequence, expires_at } = known;
    const version = subject === '' ? null : subject;
    const stored_at = toIso(storedAt);
    return { kind, product, channel, version, sequence, sha256, expires_at, stored_at };
  }

  /** Highest sequence of the index of each product and channel: a few rows, by an index of the table. */
  async newestIndexes(): Promise<readonly IndexHead[]> {
    return this.database.read.all<IndexHead>(
      `SELECT product, channel, MAX(sequence) AS sequence FROM signed_documents
       WHERE kind = 'channel' GROUP BY product, channel ORDER BY product, channel`,
    );
  }

  /** The newest index of each channel and the newest permit, of one product or of all; 500 at most. */
  async list(product: string | null): Promise<Answer<'documents.list'>> {
    const rows = await this.database.read.all<Listed>(
      `SELECT d.kind, d.product, d.channel, d.subject, d.sequence, d.sha256, d.expires_at, d.stored_at
       FROM signed_documents d
       WHERE (CAST(? AS text) IS NULL OR d.product = ?) AND d.sequence = (
         SELECT MAX(n.sequence) FROM signed_documents n
         WHERE n.kind = d.kind AND n.product = d.product AND n.channel = d.channel)
       ORDER BY d.product, d.kind, d.channel LIMIT 500`,
      [product, product],
    );
    const now = this.clock.now();
    return {
      items: rows.map(({ subject, expires_at, stored_at, ...row }) => ({
        ...row,
        version: subject === '' ? null : subject,
        expires_at: toIso(expires_at),
        stored_at: toIso(stored_at),
        expired: expires_at <= now,
      })),
    };
  }

  /** The newest; throws `not_found` when there is none. */
  async find(
    known: Pick<Known, 'kind' | 'product' | 'channel' | 'subject'>,
  ): Promise<SignedDocument> {
    const { kind, product, channel, subject } = known;
    const row = await this.database.read.get<Row>(
      `SELECT sequence, sha256, document, signatures, stored_at FROM signed_documents
       WHERE kind = ? AND product = ? AND channel = ? AND subject = ?
       ORDER BY sequence DESC LIMIT 1`,
      [kind, product, channel, subject],
    );
    if (row === undefined) {
      throw new FleetError('not_found', `no such document of ${product} on ${channel}`, {
        context: { missing: 'document' },
      });
    }
    return { document: row.document, signatures: JSON.parse(row.signatures) as string[] };
  }

  async #tell(
    tx: Tx,
    { kind, product, channel, subject, sequence }: Known,
    {
      caller,
      sha256,
      now,
    }: { readonly caller: Caller; readonly sha256: string; readonly now: number },
  ): Promise<void> {
    const isIndex = kind === 'channel';
    const details = { kind, product, channel, version: isIndex ? null : subject, sequence };
    await this.audit.append(tx, {
      caller,
      action: 'release.announce',
      targetKind: 'document',
      targetId: sha256,
      groupId: null,
      outcome: 'allowed',
      details,
    });
    this.events.append(tx, [
      {
        category: 'release',
        type: isIndex ? 'channel_index_announced' : 'downgrade_permit_announced',
        severity: isIndex ? 'info' : 'warning',
        nodeId: null,
        groupId: ROOT_GROUP,
        message: isIndex
          ? `Index ${sequence} of ${product} on ${channel} announced`
          : `Leave to go back to ${product} ${subject} on ${channel} announced`,
        details,
        at: now,
      },
    ]);
  }
}

const superseded = ({ sequence }: Pick<Row, 'sequence'>): FleetError =>
  new FleetError('release_document_superseded', `sequence ${sequence} is there already`);

/** The one with the highest sequence, of whatever version: permits of a channel replace each other. */
const newestOf = (sql: Sql, { kind, product, channel }: Known): Promise<Row | undefined> =>
  sql.get<Row>(
    `SELECT sequence, sha256, document, signatures, stored_at FROM signed_documents
     WHERE kind = ? AND product = ? AND channel = ? ORDER BY sequence DESC LIMIT 1`,
    [kind, product, channel],
  );

async function insert(
  tx: Tx,
  known: Known,
  {
    document,
    signatures,
    sha256,
    now,
  }: SignedDocument & { readonly sha256: string; readonly now: number },
): Promise<boolean> {
  const inserted = await tx.run(
    `INSERT INTO signed_documents (kind, product, channel, subject, sequence, sha256, document,
       signatures, expires_at, stored_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, product, channel, sequence) DO NOTHING`,
    [
      known.kind,
      known.product,
      known.channel,
      known.subject,
      known.sequence,
      sha256,
      document,
      JSON.stringify(signatures),
      Date.parse(known.expires_at),
      now,
    ],
  );
  return inserted === 1;
}

/** Reads the document by the one schema that its own tag names. */
function knownOf(bytes: Uint8Array): Known {
  const index = parseDocument(ChannelIndex, bytes, 'channel index');
  if (index.ok) return { kind: 'channel', subject: '', ...index.value };
  const permit = parseDocument(DowngradePermit, bytes, 'downgrade permit');
  if (permit.ok) return { kind: 'downgrade', subject: permit.value.to, ...permit.value };
  const isPermit = Buffer.from(bytes).includes('"schema":"bellwether.downgrade.v1"');
  const { code, message } = isPermit ? permit.error : index.error;
  throw new FleetError(code, message);
}
