import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/index.js';
import { Documents } from './documents.js';

/** Signed documents: in from pipelines, out to nodes. */
@Controller()
export class DocumentsController {
  constructor(private readonly documents: Documents) {}

  @Endpoint('documents.announce')
  announce(
    @Given() { body }: Input<'documents.announce'>,
    @Who() caller: Caller,
  ): Promise<Answer<'documents.announce'>> {
    return this.documents.announce(body, caller);
  }

  @Endpoint('documents.list')
  list(@Given() { query }: Input<'documents.list'>): Promise<Answer<'documents.list'>> {
    return this.documents.list(query.product ?? null);
  }

  @Endpoint('documents.channel')
  channel(@Given() { params }: Input<'documents.channel'>): Promise<Answer<'documents.channel'>> {
    return this.documents.find({ kind: 'channel', ...params, subject: '' });
  }

  @Endpoint('documents.downgrade')
  downgrade(
    @Given() { params }: Input<'documents.downgrade'>,
  ): Promise<Answer<'documents.downgrade'>> {
    const { product, channel, version: subject } = params;
    return this.documents.find({ kind: 'downgrade', product, channel, subject });
  }
}
