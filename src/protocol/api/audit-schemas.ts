import { z } from 'zod';
import { CHECKPOINT_BYTES_MAX } from '../../core/audit/index.js';
import { Id } from '../node/index.js';

const Word = z.string().min(1).max(256);
const Moment = z.iso.datetime({ offset: true });
const Size = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const SizeText = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const HashText = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

/** What may be asked of the audit log; each that is given must fit. */
const filters = {
  action: z.string().max(64).optional(),
  outcome: z.enum(['allowed', 'refused', 'failed']).optional(),
  actor_kind: z.string().max(32).optional(),
  actor_id: Word.optional(),
  target_kind: z.string().max(32).optional(),
  target_id: Word.optional(),
  /** This group and those below it. */
  group_id: Id.optional(),
  request_id: Word.optional(),
  /** From this moment on. */
  since: Moment.optional(),
  /** Before this moment. */
  until: Moment.optional(),
};
export const AuditQuery = z.object({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  ...filters,
});

export const AuditExportQuery = z.object({
  /** `ndjson` without filters, by who may see all, can be verified offline. */
  format: z.enum(['ndjson', 'json', 'csv']).default('ndjson'),
  /** Entries behind this one. */
  after: SizeText.default(0),
  /** The last entry that is meant; left out: the last there is now. */
  through: SizeText.optional(),
  ...filters,
});

export const AuditKey = z.object({
  origin: z.string(),
  /** A C2SP verifier key: name, key id and key on one line. */
  verifier_key: z.string(),
});

export const AuditCheckpoint = z.object({
  origin: z.string(),
  size: Size,
  root: HashText,
  made_at: z.iso.datetime(),
  /** The C2SP checkpoint as it was signed. */
  note: z.string().max(CHECKPOINT_BYTES_MAX),
});

export const AuditInclusionQuery = z.object({
  /** Size of a tree that holds the entry; left out: the newest checkpoint. */
  size: SizeText.optional(),
});
export const AuditInclusion = z.object({
  entry: z.int().min(1),
  size: Size,
  root: HashText,
  leaf: HashText,
  path: z.array(HashText).max(64),
});

export const AuditConsistencyQuery = z.object({ from: SizeText, to: SizeText });
export const AuditConsistency = z.object({
  from: Size,
  to: Size,
  path: z.array(HashText).max(64),
});
