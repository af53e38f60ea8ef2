import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AuditModule } from '../audit/index.js';
import { GatewayModule } from '../gateway/index.js';
import { GroupsController, TokensController } from './access.controller.js';
import { Access } from './access.js';
import { AuditController } from './audit.controller.js';
import { Groups } from './groups.store.js';
import { Guard } from './guard.js';
import { Refusals } from './refusals.js';
import { Setup } from './setup.js';
import { ApiTokens } from './tokens.store.js';

/** Who may do what: groups, API tokens, the first admin, and the one guard of the HTTP API. */
@Module({
  imports: [AuditModule, GatewayModule],
  controllers: [TokensController, GroupsController, AuditController],
  providers: [Access, ApiTokens, Groups, Refusals, Setup, { provide: APP_GUARD, useClass: Guard }],
  exports: [Access, ApiTokens, Groups, Refusals, Setup],
})
export class AccessModule {}
