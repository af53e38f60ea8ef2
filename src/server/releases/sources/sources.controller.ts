import { Controller } from '@nestjs/common';
import type { Answer, Input } from '../../../protocol/api/index.js';
import { Endpoint, Given, Who, type Caller } from '../../platform/index.js';
import { Refresher } from './refresher.js';

/** Where releases are pulled from. */
@Controller()
export class SourcesController {
  constructor(private readonly refresher: Refresher) {}

  @Endpoint('sources.list')
  async list(): Promise<Answer<'sources.list'>> {
    return { items: await this.refresher.list() };
  }

  @Endpoint('sources.refresh')
  async refresh(
    @Given() { params }: Input<'sources.refresh'>,
    @Who() caller: Caller,
  ): Promise<Answer<'sources.refresh'>> {
    return this.refresher.refresh(params.name, caller);
  }
}
