import { Inject, Injectable } from '@nestjs/common';
import { compare } from 'semver';
import { MINUTE_MS, toIso } from '../../core/kernel/index.js';
import {
  channelOf,
  newestOn,
  offersFor,
  windowOf,
  type Channel,
  type Offer,
  type Offerable,
  type Taker,
} from '../../core/release/index.js';
import type { Answer } from '../../protocol/api/index.js';
import { LiveNodes, SoftwareBook, workloadOf, type FleetNode } from '../fleet/index.js';
import { CLOCK, Database, type Clock } from '../platform/index.js';
import { publishedOf, type StoredRelease } from './releases.store.js';
import { Releases } from './releases.js';

type NodeItem = Answer<'nodes.upgrades'>['items'][number];
type GroupItem = Answer<'groups.upgrades'>['items'][number];
type Service = FleetNode['services'][number];
type Running = Pick<Service, 'name' | 'product' | 'version'>;

/** Of one product; the newest ones. Older ones are in the list of releases, not among the offers. */
const RELEASES_MAX = 1_000;
/** Products kept in memory. */
const PRODUCTS_MAX = 256;
/** Whatever invalidates is heard at once in this process; in another one this late. */
const KEEP_MS = MINUTE_MS;

interface Known extends Offerable {
  readonly id: string;
  readonly publishedAt: number;
}

interface Shelved {
  readonly releases: Promise<readonly Known[]>;
  readonly loadedAt: number;
}

interface Wish {
  readonly product?: string | undefined;
  readonly channel?: Channel | undefined;
  readonly limit: number;
}

/**
 * What is published, kept in memory without its large parts, and what nodes could make of it. Thrown
 * away for a product whenever something of it is published or yanked.
 */
@Injectable()
export class Catalog {
  readonly #products = new Map<string, Shelved>();

  constructor(
    private readonly database: Database,
    releases: Releases,
    live: LiveNodes,
    software: SoftwareBook,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    releases.onChange((product) => this.#products.delete(product));
    live.useSupport(({ services }) => this.supportOf(services));
    software.useSupport((versions) =>
      this.supportOf(versions.map((one) => ({ ...one, name: one.product }))),
    );
  }

  /** Of every service: how far it is behind. */
  async supportOf(services: readonly Running[]): Promise<Answer<'nodes.show'>['support']> {
    return Promise.all(
      services.map(async (service) => support(service, await this.#of(service.product))),
    );
  }

  /** What a node could come to, newest first, for each of its services. */
  async ofNode(node: FleetNode, wish: Wish): Promise<NodeItem[]> {
    const wanted = node.services.filter((one) => isWanted(one, wish));
    return Promise.all(
      wanted.map(async (service) => {
        const known = await this.#of(service.product);
        const about = support(service, known, wish.channel);
        const { upgrades, downgrades } = offersFor(takerOf(node, service, about.channel), known);
        const view = (offers: readonly Offer<Known>[]) =>
          offers.slice(0, wish.limit).map(offerView);
        return { ...about, upgrades: view(upgrades), downgrades: view(downgrades) };
      }),
    );
  }

  /** The same for many nodes, counted by product. Revoked nodes do not count. */
  async ofNodes(nodes: readonly FleetNode[], wish: Wish): Promise<GroupItem[]> {
    const counts = new Map<string, ProductCount>();
    for (const node of nodes) {
      if (node.revokedAt !== null) continue;
      for (const service of node.services) {
        if (!isWanted(service, wish)) continue;
        const { product } = service;
        const count = counts.get(product) ?? new ProductCount();
        counts.set(product, count);
        count.add(node, service, { known: await this.#of(product), channel: wish.channel });
      }
    }
    return [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([product, count]) => count.view(product, wish.limit));
  }

  #of(product: string): Promise<readonly Known[]> {
    const shelved = this.#products.get(product);
    const now = this.clock.now();
    if (shelved !== undefined && now - shelved.loadedAt < KEEP_MS) return shelved.releases;
    const releases = this.#load(product);
    const [oldest] = this.#products.keys();
    if (this.#products.size >= PRODUCTS_MAX && oldest !== undefined) this.#products.delete(oldest);
    this.#products.set(product, { releases, loadedAt: now });
    releases.catch(() => this.#products.delete(product));
    return releases;
  }

  async #load(product: string): Promise<readonly Known[]> {
    return (await publishedOf(this.database.read, product, RELEASES_MAX)).map(knownOf);
  }
}

/** Without notes, deltas and signatures. */
const knownOf = ({ id, publishedAt, manifest }: StoredRelease): Known => ({
  id,
  publishedAt,
  product: manifest.product,
  version: manifest.version,
  channel: manifest.channel,
  sequence: manifest.sequence,
  compatibility: manifest.compatibility,
  artifacts: manifest.artifacts,
  image: manifest.image,
  images: manifest.images,
});

const isWanted = ({ product }: Service, wish: Wish): boolean =>
  wish.product === undefined || wish.product === product;

const takerOf = (node: FleetNode, service: Service, channel: Channel): Taker => ({
  product: service.product,
  version: service.version,
  host: { os: node.host.os, arch: node.host.arch, variant: service.variant },
  workload: workloadOf(node) ?? undefined,
  channel,
});

function support(
  service: Running,
  known: readonly Known[],
  wished?: Channel,
): Answer<'nodes.show'>['support'][number] {
  const { name, product, version } = service;
  const channel = wished ?? channelOf(service, known);
  const newest = newestOn(product, channel, known);
  return { service: name, product, version, channel, newest, window: windowOf(version, newest) };
}

const offerView = ({ release, artifact, detour }: Offer<Known>): NodeItem['upgrades'][number] => ({
  ...headOf(release),
  bytes: artifact?.size ?? 0,
  direct: detour === null,
  requires: detour === null ? null : detour.message,
});

const headOf = ({ id, version, channel, sequence, publishedAt }: Known) => ({
  release_id: id,
  version,
  channel,
  sequence,
  published_at: toIso(publishedAt),
});

interface OfferCount {
  readonly release: Known;
  direct: number;
  detour: number;
}

/** Nodes that run the same on the same kind of host are offered the same: it is worked out once. */
class ProductCount {
  readonly #running = new Map<string | null, number>();
  readonly #offers = new Map<string, ReturnType<typeof offersFor<Known>>>();
  readonly #upgrades = new Map<string, OfferCount>();
  readonly #downgrades = new Map<string, OfferCount>();
  #nodes = 0;

  add(
    node: FleetNode,
    service: Service,
    { known, channel }: { readonly known: readonly Known[]; readonly channel: Channel | undefined },
  ): void {
    this.#nodes += 1;
    this.#running.set(service.version, (this.#running.get(service.version) ?? 0) + 1);
    const taker = takerOf(node, service, channel ?? channelOf(service, known));
    const { version, host, workload } = taker;
    const runs = workload === undefined ? '' : `image ${workload.arch ?? 'any'}`;
    const kind = [version ?? '', host.os, host.arch, host.variant, runs].join(' ');
    const offers = this.#offers.get(kind) ?? offersFor(taker, known);
    this.#offers.set(kind, offers);
    count(this.#upgrades, offers.upgrades);
    count(this.#downgrades, offers.downgrades);
  }

  view(product: string, limit: number): GroupItem {
    const running = [...this.#running].map(([version, nodes]) => ({ version, nodes }));
    const shown = (counts: ReadonlyMap<string, OfferCount>): GroupItem['upgrades'] =>
      [...counts.values()]
        .sort((a, b) => compare(b.release.version, a.release.version))
        .slice(0, limit)
        .map(({ release, direct, detour }) => ({ ...headOf(release), direct, detour }));
    return {
      product,
      nodes: this.#nodes,
      running: running.sort((a, b) => b.nodes - a.nodes).slice(0, limit),
      upgrades: shown(this.#upgrades),
      downgrades: shown(this.#downgrades),
    };
  }
}

function count(counts: Map<string, OfferCount>, offers: readonly Offer<Known>[]): void {
  for (const { release, detour } of offers) {
    const known = counts.get(release.id) ?? { release, direct: 0, detour: 0 };
    counts.set(release.id, known);
    if (detour === null) known.direct += 1;
    else known.detour += 1;
  }
}
