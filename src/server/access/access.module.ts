import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { AuditModule } from '../audit/index.js';
import { GatewayModule, Links } from '../gateway/index.js';
import { GroupsController, TokensController } from './access.controller.js';
import { Conditional, Idempotency } from '../platform/requests/index.js';
import { Access } from './access.js';
import { Attempts } from './attempts.js';
import { AuditController } from './audit.controller.js';
import { AuditProofsController } from './audit-proofs.controller.js';
import { Credentials } from './credentials.js';
import { Groups } from './groups.store.js';
import { Guard } from './guard.js';
import { OpenRequests } from './open-requests.js';
import { People } from './people.port.js';
import { Refusals } from './refusals.js';
import { RequestRates } from './request-rates.js';
import { Setup } from './setup.js';
import { Tokens } from './tokens.js';
import { ApiTokens } from './tokens.store.js';
import { Traffic } from './traffic.js';
import { Whereabouts } from './whereabouts.js';

/** Who may do what: groups, API tokens, the first admin, and the one guard of the HTTP API. */
@Module({
  imports: [AuditModule, GatewayModule],
  controllers: [TokensController, GroupsController, AuditController, AuditProofsController],
  providers: [
    Access,
    ApiTokens,
    Attempts,
    Credentials,
    Groups,
    OpenRequests,
    People,
    Traffic,
    Refusals,
    RequestRates,
    Setup,
    Tokens,
    Whereabouts,
    { provide: APP_GUARD, useClass: Guard },
    Idempotency,
    { provide: APP_INTERCEPTOR, useExisting: Attempts },
    // Behind it: what was refused is noted in a transaction of its own, which makes nothing.
    { provide: APP_INTERCEPTOR, useClass: Conditional },
  ],
  exports: [
    Access,
    ApiTokens,
    Credentials,
    Groups,
    OpenRequests,
    People,
    Refusals,
    RequestRates,
    Setup,
    Whereabouts,
  ],
})
export class AccessModule {
  constructor(
    links: Links,
    refusals: Refusals,
    whereabouts: Whereabouts,
    groups: Groups,
    tokens: ApiTokens,
  ) {
    links.useRefusals(refusals);
    whereabouts.use('groups', async (id) => (await groups.find(id))?.id ?? null);
    whereabouts.use('tokens', (id) => tokens.groupOf(id));
  }
}
