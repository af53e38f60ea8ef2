import { Controller, Res } from '@nestjs/common';
import type { Response } from 'express';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/index.js';
import { Find, FRESH_MS } from './find.js';

/** Open to everybody when it is switched on; so it says what a stranger may know, and no more. */
@Controller()
export class FindController {
  constructor(private readonly find: Find) {}

  @Endpoint('releases.find')
  async show(
    @Given() { query }: Input<'releases.find'>,
    @Who() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'releases.find'>> {
    const answer = await this.find.find(query, caller.ip);
    // A cache in front may keep it exactly as long as this process would.
    response.setHeader('Cache-Control', `public, max-age=${FRESH_MS / 1_000}`);
    return answer;
  }
}
