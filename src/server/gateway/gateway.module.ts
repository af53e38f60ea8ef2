import { Module } from '@nestjs/common';
import { LinkGateway } from './link.gateway.js';
import { Links } from './links.js';
import { NodeAuthenticator } from './node-authenticator.js';

/** Node links: who may open one, what flows over it, and who is connected now. */
@Module({
  providers: [Links, NodeAuthenticator, LinkGateway],
  exports: [Links, NodeAuthenticator],
})
export class GatewayModule {}
