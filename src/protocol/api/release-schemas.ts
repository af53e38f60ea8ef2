import { z } from 'zod';
import {
  Artifact,
  Channel,
  MANIFEST_BYTES_MAX,
  ProductName,
  Sha256,
  SIGNATURE_BYTES_MAX,
  Version,
} from '../../core/release/index.js';
import { Id } from '../node/index.js';
import { PageQuery } from './pages.js';

const Moment = z.iso.datetime();
const Count = z.int().min(0);
/** About ten of the most recent are what people look for. */
const Few = z.coerce.number().int().min(1).max(500).default(10);

export const ReleaseState = z.enum(['draft', 'published', 'yanked']);
export const Release = z.object({
  id: Id,
  product: ProductName,
  version: Version,
  channel: Channel,
  sequence: Count,
  state: ReleaseState,
  manifest_sha256: Sha256,
  artifacts: z.array(Artifact),
  published_at: Moment,
  /** When it was taken back, and why; null unless it was. */
  yanked: z.object({ at: Moment, reason: z.string() }).nullable(),
});
export type Release = z.infer<typeof Release>;
/** With the signed bytes: whoever has them can check everything else. */
export const ReleaseWhole = Release.extend({
  manifest: z.string(),
  signatures: z.array(z.string()),
});
export const ReleaseQuery = PageQuery.extend({
  limit: Few,
  product: ProductName.optional(),
  version: Version.optional(),
  channel: Channel.optional(),
  state: ReleaseState.optional(),
});
/** Artifacts first (`releases.append`), then this; both texts are kept byte for byte. */
export const PublishRelease = z
  .object({
    manifest: z.string().min(2).max(MANIFEST_BYTES_MAX),
    signatures: z.array(z.string().min(1).max(SIGNATURE_BYTES_MAX)).max(16),
    /** Only stored, for others to look at and sign: no node sees it. */
    draft: z.boolean().default(false),
  })
  .refine(({ draft, signatures }) => draft || signatures.length > 0, {
    path: ['signatures'],
    message: 'only a draft may be without a signature',
  });
export const YankRelease = z.object({ reason: z.string().trim().min(1).max(500) });
/** What is kept of a signed channel index or downgrade permit. */
export const AnnouncedDocument = z.object({
  kind: z.enum(['channel', 'downgrade']),
  product: ProductName,
  channel: Channel,
  /** Where a downgrade permit leads; null for an index. */
  version: Version.nullable(),
  sequence: Count,
  sha256: Sha256,
  expires_at: Moment,
  stored_at: Moment,
});
export const ListedDocument = AnnouncedDocument.extend({ expired: z.boolean() });
export const BlobStored = z.object({ sha256: Sha256, size: Count });

/** How much of an artifact is here. Bytes from `offset` on are what to send next. */
export const UploadStatus = z.object({
  sha256: Sha256,
  offset: Count,
  complete: z.boolean(),
});

/** A release that a node could come to; `requires` names what has to come first. */
export const UpgradeOffer = z.object({
  release_id: Id,
  version: Version,
  channel: Channel,
  sequence: Count,
  published_at: Moment,
  /** What the node would download. */
  bytes: Count,
  /** False: shown, but not to be taken before `requires`. */
  direct: z.boolean(),
  requires: z.string().nullable(),
});
export const SupportWindow = z.enum(['in_window', 'deprecated', 'out_of_support', 'unknown']);
export const Support = z.object({
  service: z.string(),
  product: ProductName,
  version: Version.nullable(),
  /** The one that the node seems to follow: the widest that has what it runs. */
  channel: Channel,
  /** The newest that this channel sees. */
  newest: Version.nullable(),
  window: SupportWindow,
});
export const UpgradesQuery = z.object({
  product: ProductName.optional(),
  /** In place of the channel that the node seems to follow. */
  channel: Channel.optional(),
  limit: Few,
});
export const NodeUpgrades = z.object({
  items: z.array(
    Support.extend({
      upgrades: z.array(UpgradeOffer),
      downgrades: z.array(UpgradeOffer),
    }),
  ),
});
const GroupOffer = UpgradeOffer.omit({ bytes: true, direct: true, requires: true }).extend({
  /** Nodes that can take it at once. */
  direct: Count,
  /** Nodes that have to take another one first. */
  detour: Count,
});
export const GroupUpgrades = z.object({
  items: z.array(
    z.object({
      product: ProductName,
      nodes: Count,
      /** How many nodes run which version; those of the most nodes first. */
      running: z.array(z.object({ version: Version.nullable(), nodes: Count })),
      upgrades: z.array(GroupOffer),
      downgrades: z.array(GroupOffer),
    }),
  ),
});

export const Collected = z.object({
  dry_run: z.boolean(),
  /** Artifacts that nothing needs any more. */
  blobs: z.array(z.object({ sha256: Sha256, size: Count, stored_at: Moment })),
  bytes: Count,
  /** More than one answer holds; ask again. */
  more: z.boolean(),
});
export const CollectBlobs = z.object({ dry_run: z.boolean().default(true) });

export const SourceResult = z.object({
  at: Moment,
  ok: z.boolean(),
  /** What was found and done, or what went wrong. */
  message: z.string(),
  published: z.array(z.string()),
  refused: z.array(z.object({ release: z.string(), code: z.string(), message: z.string() })),
});
export type SourceResult = z.infer<typeof SourceResult>;
export const ReleaseSource = z.object({
  name: z.string(),
  kind: z.enum(['github', 'mirror', 'directory']),
  location: z.string(),
  every_seconds: Count,
  /** Whether it is being looked at right now. */
  refreshing: z.boolean(),
  next_at: Moment.nullable(),
  failures: Count,
  last_result: SourceResult.nullable(),
});
export const SourceName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
