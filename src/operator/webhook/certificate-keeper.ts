import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import type { Log } from '../../agent/parts/index.js';
import { isStatus } from '../kube/client.js';
import type { Cluster, Stored } from '../kube/cluster.js';
import { isFor, isIssuedBy, issue, makeAuthority, timesOf, type Pair } from './certificates.js';

/** A new authority is known to every API server after this time; one reads its configuration within seconds. */
export const SETTLE_MS = 3_600_000;
const AUTHORITIES_MAX = 4;

const Pem = z.object({ cert: z.string().max(8_192), key: z.string().max(8_192) });
const Kept = z.object({
  /** The oldest first. `bundled_at_ms`: since when it stands in the configuration; null: not yet. */
  authorities: z
    .array(Pem.extend({ bundled_at_ms: z.int().nullable() }))
    .min(1)
    .max(AUTHORITIES_MAX),
  serving: Pem,
});
export type Kept = z.infer<typeof Kept>;

const Configuration = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  webhooks: z
    .array(
      z.object({
        name: z.string(),
        clientConfig: z.object({ caBundle: z.string().nullish() }),
      }),
    )
    .default([]),
});

/** Two thirds of its time are over. */
function isDue(pair: Pair, nowMs: number): boolean {
  const { fromMs, untilMs } = timesOf(pair);
  return nowMs > fromMs + ((untilMs - fromMs) * 2) / 3;
}

/**
 * What should be kept now, from what is. A certificate is made anew at two thirds of its time, by the newest
 * authority that has settled; so is an authority, which is not used before it has settled. Old ones
 * stay until their end. The same value when nothing is to be done.
 */
export function renewed(kept: Kept | null, names: readonly string[], nowMs: number): Kept {
  const anew = () => ({ ...makeAuthority(nowMs), bundled_at_ms: null });
  const alive = (kept?.authorities ?? []).filter((one) => timesOf(one).untilMs > nowMs);
  const newest = alive.at(-1);
  const authorities =
    newest === undefined || isDue(newest, nowMs)
      ? [...alive.slice(1 - AUTHORITIES_MAX), anew()]
      : alive;
  const isSettled = ({ bundled_at_ms: at }: Kept['authorities'][number]): boolean =>
    at !== null && nowMs - at >= SETTLE_MS;
  // The only one there is has to do, settled or not.
  const signer = authorities.findLast(isSettled) ?? authorities[0];
  if (signer === undefined) throw new Error('no authority');
  const isGood =
    kept !== null &&
    isIssuedBy(kept.serving, signer) &&
    isFor(kept.serving, names) &&
    !isDue(kept.serving, nowMs);
  const serving = isGood ? kept.serving : issue(signer, names, nowMs);
  const isSame = kept?.authorities.length === authorities.length && newest === authorities.at(-1);
  return isSame && serving === kept.serving ? kept : { authorities, serving };
}

export interface KeeperOptions {
  readonly cluster: Cluster;
  /** Of the Secret. */
  readonly namespace: string;
  readonly service: string;
  readonly serviceNamespace: string;
  readonly secret: string;
  readonly configuration: string;
  readonly clock: { now(): number };
  readonly log: Log;
  /** Told whenever another certificate is to be served. */
  readonly onServing: (pair: Pair) => void;
}

/**
 * Authority and certificate of the webhook, in a Secret that all replicas share, and the authorities in the
 * configuration by which the API server calls it. One of several replicas makes what is new, the others find it.
 */
export class CertificateKeeper {
  readonly #options: KeeperOptions;
  readonly #names: readonly string[];
  #served = '';

  constructor(options: KeeperOptions) {
    this.#options = options;
    const { service, serviceNamespace } = options;
    const name = `${service}.${serviceNamespace}.svc`;
    this.#names = [name, `${name}.cluster.local`];
  }

  /** Looks, makes what is due, and brings it where it has to be. Idempotent. Throws KubeError, `conflict`. */
  async tend(): Promise<void> {
    const kept = await this.#keep();
    if (kept.serving.cert !== this.#served) {
      this.#served = kept.serving.cert;
      this.#options.onServing(kept.serving);
    }
    if (!(await this.#publish(kept))) return;
    if (kept.authorities.every(({ bundled_at_ms: at }) => at !== null)) return;
    await this.#keep((now) => ({
      ...now,
      authorities: now.authorities.map((one) =>
        kept.authorities.some(({ cert }) => cert === one.cert)
          ? { ...one, bundled_at_ms: one.bundled_at_ms ?? this.#options.clock.now() }
          : one,
      ),
    }));
  }

  async #keep(change: (kept: Kept) => Kept = (kept) => kept): Promise<Kept> {
    const { cluster, namespace, secret, clock, log } = this.#options;
    for (let tries = 0; tries < 4; tries += 1) {
      const stored = await cluster.stored('secrets', namespace, secret);
      const before = this.#read(stored);
      const kept = change(renewed(before, this.#names, clock.now()));
      if (kept === before || JSON.stringify(kept) === JSON.stringify(before)) return kept;
      try {
        const given = { data: dataOf(kept), labels: { 'bellwether.dev/part': 'webhook' } };
        await cluster.store('secrets', { namespace, name: secret }, given, stored);
        if (kept.serving.cert !== before?.serving.cert) log('a certificate was made', { secret });
        return kept;
      } catch (error) {
        if (!isStatus(error, 409)) throw error;
      }
    }
    throw new FleetError('conflict', `others keep writing ${namespace}/${secret}`);
  }

  /** What cannot be read is made anew: nobody but this program uses it. */
  #read(stored: Stored | null): Kept | null {
    const text = stored?.data['state'];
    if (text === undefined) return null;
    try {
      const kept = Kept.parse(JSON.parse(Buffer.from(text, 'base64').toString('utf8')));
      for (const pair of [...kept.authorities, kept.serving]) timesOf(pair);
      return kept;
    } catch {
      this.#options.log('a Secret cannot be read and is made anew', {
        error: this.#options.secret,
      });
      return null;
    }
  }

  /** Whether the API server has it. Without a configuration nobody calls, and nothing is in the way of that. */
  async #publish({ authorities }: Kept): Promise<boolean> {
    const { cluster, configuration, log } = this.#options;
    const path = `/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/${configuration}`;
    const caBundle = Buffer.from(authorities.map(({ cert }) => cert).join('')).toString('base64');
    try {
      const { metadata, webhooks } = await cluster.client.ask(path, Configuration);
      const wrong = webhooks.filter(({ clientConfig }) => clientConfig.caBundle !== caBundle);
      if (wrong.length === 0) return webhooks.length > 0;
      await cluster.client.ask(path, z.unknown(), {
        method: 'PATCH',
        patch: 'strategic-merge-patch',
        query: { fieldManager: 'bellwether-webhook' },
        body: {
          metadata: { resourceVersion: metadata.resourceVersion },
          webhooks: wrong.map(({ name }) => ({ name, clientConfig: { caBundle } })),
        },
      });
      log('the authorities stand in the configuration', { configuration });
      return true;
    } catch (error) {
      if (!isStatus(error, 404, 409)) throw error;
      if (isStatus(error, 404)) log('there is no such configuration', { error: configuration });
      return false;
    }
  }
}

const dataOf = (kept: Kept): Record<string, string> => {
  const bundle = kept.authorities.map(({ cert }) => cert).join('');
  const texts = { state: JSON.stringify(kept), 'ca.crt': bundle };
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
};
