import { Controller, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError } from '../../core/kernel/index.js';
import { Access } from '../access/index.js';
import { Endpoint, Who, type Caller } from '../platform/http/index.js';
import { CONTENT_TYPE, formatFor } from '../platform/telemetry/index.js';
import { Scrape } from './scrape.js';

/** Numbers know no groups: whoever may see them sees those of all. */
@Controller()
export class MetricsController {
  constructor(
    private readonly access: Access,
    private readonly scrape: Scrape,
  ) {}

  @Endpoint('metrics.show')
  async show(
    @Who() caller: Caller,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    if ((await this.access.visibleGroups(caller, 'metrics.view')) !== 'all') {
      throw new FleetError(
        'insufficient_role',
        'numbers are of the whole installation; so must the permission be',
        { context: { required_role: 'super_admin' } },
      );
    }
    const format = formatFor(request.headers.accept);
    const text = await this.scrape.text(format);
    // Not `send`, which would write the charset anew.
    response.setHeader('Content-Type', CONTENT_TYPE[format]).setHeader('Vary', 'Accept').end(text);
  }
}
