import { Controller, Inject, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import type { Answer, Input } from '../../protocol/api/index.js';
import { CONFIG, Endpoint, Given, Who, type Caller, type Config } from '../platform/index.js';
import { BlobCollector, SHELF, type Shelf } from './collector.js';
import { Downloads } from './delivery/downloads.js';
import { Invitations } from './delivery/invitations.js';
import { UploadLog } from './delivery/upload-log.js';
import { sendBlob } from './delivery/send-blob.js';

const tooLarge = (bytesMax: number): FleetError =>
  new FleetError('payload_too_large', `an artifact holds at most ${bytesMax} bytes`);

/** Artifacts: how they come in, and how nodes get them. */
@Controller()
export class BlobsController {
  constructor(
    @Inject(SHELF) private readonly shelf: Shelf,
    private readonly downloads: Downloads,
    private readonly invitations: Invitations,
    private readonly collector: BlobCollector,
    private readonly log: UploadLog,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Endpoint('releases.upload')
  async upload(
    @Given() { params }: Input<'releases.upload'>,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
    @Who() caller: Caller,
  ): Promise<Answer<'releases.upload'>> {
    const bytesMax = this.config.artifactBytesMax;
    return this.#taking(request, async () => {
      if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax);
      this.invitations.invite(request, response);
      const { size } = await this.shelf.blobs.put(params.digest, request, bytesMax);
      await this.log.uploaded(caller, params.digest, size);
      return { sha256: params.digest, size };
    });
  }

  @Endpoint('releases.upload_status')
  async status(
    @Given() { params }: Input<'releases.upload_status'>,
  ): Promise<Answer<'releases.upload_status'>> {
    return { sha256: params.digest, ...(await this.shelf.partials.status(params.digest)) };
  }

  @Endpoint('releases.append')
  async append(
    @Given() { params }: Input<'releases.append'>,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
    @Who() caller: Caller,
  ): Promise<Answer<'releases.append'>> {
    return this.#taking(request, async () => {
      const offset = numberIn(request, 'upload-offset');
      const length = numberIn(request, 'upload-length');
      if (length > this.config.artifactBytesMax) throw tooLarge(this.config.artifactBytesMax);
      this.invitations.invite(request, response);
      const piece = { offset, length, bytes: request };
      const progress = await this.shelf.partials.append(params.digest, piece);
      if (progress.complete) await this.log.uploaded(caller, params.digest, length);
      return { sha256: params.digest, ...progress };
    });
  }

  @Endpoint('releases.collect')
  async collect(
    @Given() { body }: Input<'releases.collect'>,
    @Who() caller: Caller,
  ): Promise<Answer<'releases.collect'>> {
    return this.collector.collect(body.dry_run, caller);
  }

  @Endpoint('releases.blob')
  async blob(
    @Given() { params }: Input<'releases.blob'>,
    @Who() caller: Caller,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    await sendBlob(request, response, {
      blobs: this.shelf.blobs,
      downloads: this.downloads,
      sha256: params.digest,
      nodeId: caller.id,
    });
  }

  /** A refused body is read into nothing for a while, so that its sender hears why. */
  async #taking<T>(request: Request, take: () => Promise<T>): Promise<T> {
    try {
      return await take();
    } catch (error) {
      await this.invitations.drain(request);
      throw error;
    }
  }
}

function numberIn(request: Request, name: 'upload-offset' | 'upload-length'): number {
  const text = request.headers[name];
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  const message = `header ${name}: give a whole number of bytes`;
  throw new FleetError('invalid_request', message, {
    context: { problems: [{ path: `headers.${name}`, message }] },
  });
}
