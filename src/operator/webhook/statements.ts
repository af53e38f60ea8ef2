import { createHash } from 'node:crypto';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import {
  Channel,
  MANIFEST_BYTES_MAX,
  SIGNATURE_BYTES_MAX,
  SignedDocument,
  Version,
} from '../../core/release/index.js';
import { isStatus } from '../kube/client.js';
import type { Cluster } from '../kube/cluster.js';

/** A ConfigMap holds 1 MiB; what is said of it besides is small. */
const TEXT_MAX = 900_000;
/** Images of one product that are kept in mind: as many versions as a cluster runs side by side, and more. */
export const IMAGES_MAX = 64;
const SIGNATURES_MAX = 32;

/** A release as it was fetched: what was signed, and what over it. */
export const FetchedText = z.object({
  version: Version,
  channel: Channel,
  manifest: z.string().max(MANIFEST_BYTES_MAX),
  signatures: z.array(z.string().max(SIGNATURE_BYTES_MAX)).max(SIGNATURES_MAX),
});
export type FetchedText = z.infer<typeof FetchedText>;

/** What is known of one image: the releases that name it, and when the manager last said so. */
export const ImageStatements = z.object({
  asked_at_ms: z.int().min(0),
  releases: z.array(FetchedText).max(16),
});
export type ImageStatements = z.infer<typeof ImageStatements>;

/** All that is known of a product. Nothing in it is believed: it is verified whenever it is read. */
export const Statements = z.object({
  product: z.string(),
  /** By channel, the newest signed index; when the channels were last asked for. */
  indexes: z.partialRecord(Channel, SignedDocument),
  indexes_at_ms: z.int().min(0),
  /** By hex of the digest. */
  images: z.record(z.string().regex(/^[0-9a-f]{64}$/), ImageStatements),
});
export type Statements = z.infer<typeof Statements>;

export const noStatements = (product: string): Statements => ({
  product,
  indexes: {},
  indexes_at_ms: 0,
  images: {},
});

/**
 * Statements of one product in a ConfigMap, so that a webhook that was started anew while the manager is
 * away still knows them. Losing them loses no safety but one: an index older than the one known would
 * be believed again.
 */
export class StatementStore {
  readonly #cluster: Cluster;
  readonly #namespace: string;

  constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster;
    this.#namespace = namespace;
  }

  /** What cannot be read counts as not there. Throws KubeError. */
  async read(product: string): Promise<Statements> {
    const stored = await this.#cluster.stored('configmaps', this.#namespace, nameOf(product));
    return this.#parse(product, stored?.data['statements']);
  }

  /**
   * Puts in what is known here beside what other replicas put in: `merge` is given what lies there.
   * Throws KubeError, `conflict` after three tries.
   */
  async write(product: string, merge: (there: Statements) => Statements): Promise<void> {
    for (let tries = 0; tries < 3; tries += 1) {
      const at = { namespace: this.#namespace, name: nameOf(product) };
      const stored = await this.#cluster.stored('configmaps', at.namespace, at.name);
      const merged = merge(this.#parse(product, stored?.data['statements']));
      const data = { product, statements: fitting(merged) };
      const labels = { 'bellwether.dev/part': 'admission' };
      try {
        await this.#cluster.store('configmaps', at, { data, labels }, stored);
        return;
      } catch (error) {
        if (!isStatus(error, 409)) throw error;
      }
    }
    throw new FleetError('conflict', `others keep writing the statements of ${product}`);
  }

  #parse(product: string, text: string | undefined): Statements {
    if (text === undefined) return noStatements(product);
    try {
      const parsed = Statements.parse(JSON.parse(text));
      return parsed.product === product ? parsed : noStatements(product);
    } catch {
      return noStatements(product);
    }
  }
}

/** The images that were asked for last, as many as there is room for. */
function fitting(statements: Statements): string {
  const newest = Object.entries(statements.images)
    .sort(([, a], [, b]) => b.asked_at_ms - a.asked_at_ms)
    .slice(0, IMAGES_MAX);
  for (;;) {
    const text = JSON.stringify({ ...statements, images: Object.fromEntries(newest) });
    if (text.length <= TEXT_MAX || newest.length === 0) return text;
    newest.length = Math.floor(newest.length / 2);
  }
}

const nameOf = (product: string): string =>
  `bellwether-admission-${createHash('sha256').update(product).digest('hex').slice(0, 20)}`;
