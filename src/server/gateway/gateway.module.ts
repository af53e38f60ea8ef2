import { Module } from '@nestjs/common';
import { Doors } from './doors.js';
import { FrontDoor } from './front-door.js';
import { LinkGateway } from './link.gateway.js';
import { Links } from './links.js';
import { LoadWatch } from './load-watch.js';
import { NodeAuthenticator } from './node-authenticator.js';
import { OtherManagers } from './other-managers.js';
import { PollRelay } from './poll-relay.js';
import { PollsController } from './polls.controller.js';
import { Polls } from './polls.js';
import { UsedTokens } from './used-tokens.js';

/** Node links: who may open one, what flows over it, and who is connected now. */
@Module({
  controllers: [PollsController],
  providers: [
    Doors,
    Links,
    NodeAuthenticator,
    FrontDoor,
    LinkGateway,
    LoadWatch,
    OtherManagers,
    PollRelay,
    Polls,
    UsedTokens,
  ],
  exports: [Doors, FrontDoor, Links, LoadWatch, NodeAuthenticator],
})
export class GatewayModule {
  constructor(links: Links, others: OtherManagers, load: LoadWatch) {
    links.useLoad(load);
    links.useElsewhere(others);
  }
}
