import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { personBehind, type Caller } from '../platform/http/index.js';
import { OpenRequests } from './open-requests.js';
import { RequestRates } from './request-rates.js';

/** Somebody who proved who he is, and until when that counts (epoch ms). */
export interface Known {
  readonly caller: Caller;
  readonly expiresAt: number;
}

/** What a credential does over time: how often it asks, and what it is in the middle of. */
@Injectable()
export class Traffic {
  constructor(
    private readonly rates: RequestRates,
    private readonly open: OpenRequests,
  ) {}

  /** Throws `rate_limited`. */
  spend(credentialId: string, response: Response): void {
    this.rates.spend(credentialId, response);
  }

  /** Cut off when the credential ends before the answer is out. */
  follow({ caller, expiresAt }: Known, response: Response): void {
    const { requestId } = caller;
    const personId = personBehind(caller);
    this.open.add(caller.sessionId ?? caller.id, { response, requestId, personId, expiresAt });
  }
}
