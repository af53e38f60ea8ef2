import { Inject, Injectable } from '@nestjs/common';
import { FleetError } from '../../core/kernel/index.js';
import {
  JWT_CLOCK_SKEW_MS,
  publicKeyFromRaw,
  readNodeToken,
  verifyNodeToken,
} from '../../protocol/node/index.js';
import { type Clock, CLOCK, type Config, CONFIG } from '../platform/index.js';
import { Links } from './links.js';
import type { NodeIdentity } from './ports.js';
import { UsedTokens } from './used-tokens.js';

const BEARER = /^Bearer ([A-Za-z0-9._-]{1,4096})$/;

/**
 * Turns the `Authorization` header of a node into its identity (DESIGN 3.6), for the link and for
 * the downloads alike. A token counts once: its `jti` is remembered until it has expired, by all managers
 * together, and by those that come after them.
 */
@Injectable()
export class NodeAuthenticator {
  constructor(
    private readonly links: Links,
    private readonly used: UsedTokens,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Which node a header says that it is of; not proven. Null when it could not be of any. */
  static claimOf(authorizationHeader: string | undefined): string | null {
    const token = BEARER.exec(authorizationHeader ?? '')?.[1];
    const read = token === undefined ? null : readNodeToken(token);
    return read?.ok === true ? read.value.sub : null;
  }

  /**
   * Throws FleetError `jwt_…`. Every cause that would tell a stranger whether a node exists gives
   * the same answer.
   */
  async authenticate(authorizationHeader: string | undefined): Promise<NodeIdentity> {
    const token = BEARER.exec(authorizationHeader ?? '')?.[1];
    if (token === undefined) {
      throw new FleetError('jwt_invalid', 'no node token in the Authorization header');
    }
    const read = readNodeToken(token);
    if (!read.ok) throw new FleetError(read.error.code, read.error.message);
    const node = await this.links.identities.find(read.value.sub);
    const key = node === null || node.revoked ? null : publicKeyFromRaw(node.publicKey);
    if (node === null || key === null) {
      throw new FleetError('jwt_invalid', 'the node is unknown or was revoked');
    }
    const nowMs = this.clock.now();
    const verified = verifyNodeToken(token, { key, origin: this.config.publicOrigin, nowMs });
    if (!verified.ok) throw new FleetError(verified.error.code, verified.error.message);
    const { jti, exp } = verified.value;
    const forgetAtMs = exp * 1000 + JWT_CLOCK_SKEW_MS;
    if (!(await this.used.take(`${node.nodeId} ${jti}`, forgetAtMs))) {
      throw new FleetError('jwt_replayed', 'this node token was used before');
    }
    return node;
  }
}
