import { Module } from '@nestjs/common';
import { Doors } from './doors.js';
import { LinkGateway } from './link.gateway.js';
import { Links } from './links.js';
import { NodeAuthenticator } from './node-authenticator.js';
import { PollsController } from './polls.controller.js';
import { Polls } from './polls.js';

/** Node links: who may open one, what flows over it, and who is connected now. */
@Module({
  controllers: [PollsController],
  providers: [Doors, Links, NodeAuthenticator, LinkGateway, Polls],
  exports: [Doors, Links, NodeAuthenticator],
})
export class GatewayModule {}
