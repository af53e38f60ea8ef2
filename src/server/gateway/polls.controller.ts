import { Controller, Res } from '@nestjs/common';
import type { Response } from 'express';
import type { Answer, Input } from '../../protocol/api/index.js';
import { Endpoint, Given, Who, type Caller } from '../platform/index.js';
import { Polls } from './polls.js';

/** The link for nodes that cannot hold a socket. */
@Controller()
export class PollsController {
  constructor(private readonly polls: Polls) {}

  @Endpoint('link.sync')
  sync(
    @Given() { body }: Input<'link.sync'>,
    @Who() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ): Promise<Answer<'link.sync'>> {
    const gone = new AbortController();
    // Also when the node has hung up: nobody would read what is held for it.
    response.once('close', () => {
      gone.abort();
    });
    return this.polls.sync(caller.id, body, gone.signal);
  }

  @Endpoint('link.heartbeat')
  heartbeat(
    @Given() { body }: Input<'link.heartbeat'>,
    @Who() caller: Caller,
  ): Promise<Answer<'link.heartbeat'>> {
    return this.polls.heartbeat(caller.id, body);
  }
}
