import { Controller, Res } from '@nestjs/common';
import type { Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import { manifestJsonSchema } from '../../core/release/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { RELEASES_OF_IMAGE_MAX } from '../../protocol/node/index.js';
import {
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
} from '../platform/index.js';
import {
  listReleases,
  publishedOfImage,
  releaseById,
  releaseView,
  type StoredRelease,
} from './releases.store.js';
import { Releases } from './releases.js';

const noRelease = (which: string): FleetError =>
  new FleetError('not_found', `no release ${which}`, { context: { missing: 'release' } });

/** The catalog over HTTP, for people and pipelines; and what nodes read of it. */
@Controller()
export class ReleasesController {
  constructor(
    private readonly database: Database,
    private readonly releases: Releases,
  ) {}

  @Endpoint('releases.list')
  async list(@Given() { query }: Input<'releases.list'>): Promise<Answer<'releases.list'>> {
    const { cursor, limit, ...filter } = query;
    const before = readCursor(cursor);
    const rows = await listReleases(this.database.read, { ...filter, before, limit: limit + 1 });
    return pageFrom(rows, limit, (row) => ({ at: row.publishedAt, id: row.id }), releaseView);
  }

  @Endpoint('releases.show')
  async show(@Given() { params }: Input<'releases.show'>): Promise<Answer<'releases.show'>> {
    const release = await this.#find(params.id);
    const { manifestText: manifest, signatures } = release;
    return { ...releaseView(release), manifest, signatures: [...signatures] };
  }

  @Endpoint('releases.publish')
  async publish(
    @Given() { body }: Input<'releases.publish'>,
    @Who() caller: Caller,
  ): Promise<Answer<'releases.publish'>> {
    const { manifest, signatures, draft } = body;
    return releaseView(await this.releases.publish(manifest, signatures, caller, { draft }));
  }

  @Endpoint('releases.yank')
  async yank(
    @Given() { params, body }: Input<'releases.yank'>,
    @Who() caller: Caller,
  ): Promise<Answer<'releases.yank'>> {
    await this.releases.yank(await this.#find(params.id), body.reason, caller);
    return releaseView(await this.#find(params.id));
  }

  @Endpoint('releases.schema')
  async schema(): Promise<Answer<'releases.schema'>> {
    return manifestJsonSchema();
  }

  @Endpoint('releases.manifest')
  async manifest(
    @Given() { params }: Input<'releases.manifest'>,
    @Res() response: Response,
  ): Promise<void> {
    const release = await this.#published(params);
    response.type('application/json').send(Buffer.from(release.manifestText, 'utf8'));
  }

  @Endpoint('releases.signatures')
  async signatures(
    @Given() { params }: Input<'releases.signatures'>,
  ): Promise<Answer<'releases.signatures'>> {
    return [...(await this.#published(params)).signatures];
  }

  @Endpoint('releases.of_image')
  async ofImage(
    @Given() { params }: Input<'releases.of_image'>,
  ): Promise<Answer<'releases.of_image'>> {
    const { product, digest } = params;
    const found = await publishedOfImage(
      this.database.read,
      product,
      digest,
      RELEASES_OF_IMAGE_MAX,
    );
    return {
      releases: found.map(({ manifest: { version, channel } }) => ({ version, channel })),
    };
  }

  async #find(id: string): Promise<StoredRelease> {
    const release = await releaseById(this.database.read, id);
    if (release === null) throw noRelease(id);
    return release;
  }

  async #published({
    product,
    version,
    channel,
  }: Input<'releases.manifest'>['params']): Promise<StoredRelease> {
    const release = await this.releases.find(product, version, channel);
    if (release === null) throw noRelease(`${product} ${version} on ${channel}`);
    return release;
  }
}
