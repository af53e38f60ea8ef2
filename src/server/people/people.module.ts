import { Module } from '@nestjs/common';
import { AccessModule, People, Setup } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { AccountController } from './account.controller.js';
import { Cookies } from './cookies.js';
import { Devices } from './devices.store.js';
import { DoorsController } from './doors.controller.js';
import { Entrance } from './entrance.js';
import { FactorTakeover } from './factor-takeover.js';
import { Factors } from './factors.store.js';
import { Invitations } from './invitations.store.js';
import { Joining } from './joining.js';
import { InvitationsController, MembersController } from './members.controller.js';
import { Members } from './members.store.js';
import { Oidc } from './oidc.js';
import { EntranceController, SessionsController } from './session.controller.js';
import { PersonalProof } from './personal-proof.js';
import { Sessions } from './sessions.store.js';
import { SignIn } from './sign-in.js';
import { Sso } from './sso.js';
import { SsoController } from './sso.controller.js';
import { Stores } from './stores.js';
import { SignInTries } from './tries.store.js';
import { UsersController } from './users.controller.js';
import { Users } from './users.store.js';

/** People: users, how they sign in, what they hold. */
@Module({
  imports: [AuditModule, AccessModule],
  controllers: [
    DoorsController,
    EntranceController,
    SessionsController,
    AccountController,
    UsersController,
    MembersController,
    InvitationsController,
    SsoController,
  ],
  providers: [
    Cookies,
    Devices,
    Entrance,
    Factors,
    FactorTakeover,
    Invitations,
    Joining,
    Members,
    Oidc,
    PersonalProof,
    Sessions,
    SignIn,
    SignInTries,
    Sso,
    Stores,
    Users,
  ],
  exports: [PersonalProof],
})
export class PeopleModule {
  constructor(people: People, setup: Setup, entrance: Entrance) {
    people.use(entrance);
    setup.usePeople(entrance);
  }
}
