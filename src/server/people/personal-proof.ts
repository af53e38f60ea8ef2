import { Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import { Database } from '../platform/database/index.js';
import type { Caller } from '../platform/http/index.js';
import { SignIn } from './sign-in.js';
import { Stores } from './stores.js';

/** For what nobody should do by a token, or by a browser that somebody left open. */
@Injectable()
export class PersonalProof {
  constructor(
    private readonly database: Database,
    private readonly stores: Stores,
    private readonly signing: SignIn,
  ) {}

  /**
   * That a signed-in person calls, and holds the second factor right now if there is one. Throws
   * `person_required`, `second_factor_required`, `second_factor_wrong`, `rate_limited`. The code is used
   * up, whatever comes of the deed.
   */
  async require(caller: Caller, code: string | undefined): Promise<void> {
    const user = caller.kind === 'user' ? await this.stores.users.byId(caller.id) : null;
    if (user === null) {
      throw new FleetError('person_required', 'sign in as a person; this is no API token');
    }
    if (user.factorSecret === null) return;
    if (code === undefined) {
      throw new FleetError('second_factor_required', 'send a code of the second factor as well');
    }
    const counted = await this.signing.countCode(user);
    const isRight = await this.database.transaction(async (tx) => {
      const how = await this.stores.factors.spend(tx, user, code);
      if (how !== null) await counted.right(tx);
      return how !== null;
    });
    if (!isRight) {
      throw new FleetError('second_factor_wrong', 'the code is wrong, or was used before');
    }
  }
}
