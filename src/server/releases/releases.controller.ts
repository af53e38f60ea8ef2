import { Controller, Inject, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import {
  CONFIG,
  Database,
  Endpoint,
  Given,
  pageFrom,
  readCursor,
  Who,
  type Caller,
  type Config,
} from '../platform/index.js';
import { BlobStore } from './blob-store.js';
import { listReleases, releaseView, type StoredRelease } from './releases.store.js';
import { Releases } from './releases.js';
import { Uploads } from './uploads.js';

/** A blob never changes under its digest, so whoever has it may keep it. */
const FOR_EVER_SECONDS = 365 * 86_400;
/** Large reads: an artifact is read from front to back, by many nodes at once. */
const READ_CHUNK_BYTES = 1024 * 1024;

/** Publishing, and what nodes download. */
@Controller()
export class ReleasesController {
  constructor(
    private readonly database: Database,
    private readonly releases: Releases,
    private readonly blobs: BlobStore,
    private readonly uploads: Uploads,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Endpoint('releases.list')
  async list(@Given() { query }: Input<'releases.list'>): Promise<Answer<'releases.list'>> {
    const rows = await listReleases(this.database.read, {
      product: query.product,
      channel: query.channel,
      before: readCursor(query.cursor),
      limit: query.limit + 1,
    });
    return pageFrom(rows, query.limit, (row) => ({ at: row.publishedAt, id: row.id }), releaseView);
  }

  @Endpoint('releases.upload')
  async upload(
    @Given() { params }: Input<'releases.upload'>,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'releases.upload'>> {
    const bytesMax = this.config.artifactBytesMax;
    try {
      if (Number(request.headers['content-length'] ?? 0) > bytesMax) {
        throw new FleetError('payload_too_large', `an artifact holds at most ${bytesMax} bytes`);
      }
      this.uploads.invite(request, response);
      const { size } = await this.blobs.put(params.digest, request, bytesMax);
      return { sha256: params.digest, size };
    } catch (error) {
      await this.uploads.drain(request);
      throw error;
    }
  }

  @Endpoint('releases.publish')
  async publish(
    @Given() { body }: Input<'releases.publish'>,
    @Who() caller: Caller,
  ): Promise<Answer<'releases.publish'>> {
    return releaseView(await this.releases.publish(body.manifest, body.signatures, caller));
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

  /** Range, conditional requests and partial answers are those of the library `send`. */
  @Endpoint('releases.blob')
  async blob(
    @Given() { params }: Input<'releases.blob'>,
    @Res() response: Response,
  ): Promise<void> {
    const size = await this.blobs.sizeOf(params.digest);
    if (size === null) {
      throw new FleetError('not_found', `no artifact ${params.digest}`, {
        context: { missing: 'artifact' },
      });
    }
    response.set({
      etag: `"${params.digest}"`,
      'content-type': 'application/octet-stream',
      'cache-control': `private, immutable, max-age=${FOR_EVER_SECONDS}`,
    });
    const status = await sendFile(response, this.blobs.pathOf(params.digest));
    if (status === 416) response.set('content-range', `bytes */${size}`);
    if (status !== null) response.status(status).end();
  }

  async #published(params: {
    readonly product: string;
    readonly version: string;
    readonly channel: string;
  }): Promise<StoredRelease> {
    const release = await this.releases.find(params.product, params.version, params.channel);
    if (release === null) {
      throw new FleetError(
        'not_found',
        `no release ${params.product} ${params.version} on ${params.channel}`,
        { context: { missing: 'release' } },
      );
    }
    return release;
  }
}

/**
 * Sends a file, whole or in the part that was asked for. Gives the status of a request that cannot
 * be met as it stands (412, 416) for an answer without a body, else null.
 */
function sendFile(response: Response, path: string): Promise<number | null> {
  const options = {
    dotfiles: 'allow',
    cacheControl: false,
    lastModified: false,
    // Not in the types of Express; `send` hands it to the read stream.
    highWaterMark: READ_CHUNK_BYTES,
  } as const;
  return new Promise((resolve, reject) => {
    response.sendFile(path, options, (error: Error | undefined) => {
      const { status, code } = (error ?? {}) as { status?: number; code?: string };
      // A reader that hangs up has made up its mind; there is nobody left to answer.
      if (error === undefined || response.headersSent || code === 'ECONNABORTED') resolve(null);
      else if (status === 412 || status === 416) resolve(status);
      else reject(error);
    });
  });
}
