import { Injectable } from '@nestjs/common';
import { Devices } from './devices.store.js';
import { Factors } from './factors.store.js';
import { Invitations } from './invitations.store.js';
import { Members } from './members.store.js';
import { Sessions } from './sessions.store.js';
import { Users } from './users.store.js';

/** The tables of people, together: what somebody does mostly touches several. */
@Injectable()
export class Stores {
  constructor(
    readonly users: Users,
    readonly members: Members,
    readonly sessions: Sessions,
    readonly devices: Devices,
    readonly factors: Factors,
    readonly invitations: Invitations,
  ) {}
}
