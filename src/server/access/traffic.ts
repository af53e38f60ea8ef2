import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import type { RouteName } from '../../protocol/api/index.js';
import { personBehind, type Caller } from '../platform/http/index.js';
import { LoadWatch } from '../gateway/index.js';
import { OpenRequests } from './open-requests.js';
import { RequestRates } from './request-rates.js';

/** Long, for people, and as good a minute later. */
const EXPORTS: ReadonlySet<string> = new Set<RouteName>(['audit.export', 'events.export']);

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
    private readonly load: LoadWatch,
  ) {}

  /** Throws `rate_limited`, and `manager_busy` for what a manager under load leaves for later. */
  spend(credentialId: string, response: Response, route: string): void {
    if (EXPORTS.has(route)) this.load.requireRoomForExports();
    this.rates.spend(credentialId, response);
  }

  /** Cut off when the credential ends before the answer is out. */
  follow({ caller, expiresAt }: Known, response: Response): void {
    const { requestId } = caller;
    const personId = personBehind(caller);
    this.open.add(caller.sessionId ?? caller.id, { response, requestId, personId, expiresAt });
  }
}
