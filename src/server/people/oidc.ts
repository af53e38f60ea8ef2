import { Inject, Injectable } from '@nestjs/common';
import * as client from 'openid-client';
import type { Logger } from 'pino';
import { FleetError, HOUR_MS, SECOND_MS } from '../../core/kernel/index.js';
import { claimValues } from '../../core/people/index.js';
import { CLOCK, CONFIG, LOGGER, type Clock, type Config } from '../platform/index.js';
import { readOidcFile, type OidcSettings } from './oidc-file.js';

/** The provider must answer each question within this. */
const ANSWER_MS = 10 * SECOND_MS;
/** What it says about itself is asked anew after this. */
const DISCOVERY_MS = HOUR_MS;
const CALLBACK = '/api/v1/sso/callback';

/** What the browser keeps on the way to the provider and back, in a cookie that no script can read. */
export interface SsoTrip {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** Who the provider says it is. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  readonly wantedLogin: string;
  readonly name: string;
  readonly groups: readonly string[];
}

const PART = /^[\w-]{20,128}$/;
export const tripText = ({ state, nonce, verifier }: SsoTrip): string =>
  [state, nonce, verifier].join('.');
export function readTrip(text: string | null): SsoTrip | null {
  const [state = '', nonce = '', verifier = '', ...rest] = (text ?? '').split('.');
  const isWhole = rest.length === 0 && [state, nonce, verifier].every((part) => PART.test(part));
  return isWhole ? { state, nonce, verifier } : null;
}

/**
 * Sign-in at an OpenID provider: authorization code with PKCE (S256), `state` against a planted answer,
 * `nonce` against a replayed one. The library checks issuer, audience, signature and times.
 */
@Injectable()
export class Oidc {
  readonly settings: OidcSettings | null;
  #known: { readonly at: number; readonly config: Promise<client.Configuration> } | null = null;
  readonly #callback: string;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(LOGGER) private readonly log: Logger,
  ) {
    this.settings = readOidcFile(config.oidcFile);
    this.#callback = `${config.publicUrl}${CALLBACK}`;
  }

  /** Where to send the browser, and what it has to bring back. */
  async start(requestId: string): Promise<{ readonly url: URL; readonly trip: SsoTrip }> {
    const { settings, config } = await this.#provider(requestId);
    const trip: SsoTrip = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
    };
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: this.#callback,
      scope: settings.scopes.join(' '),
      response_type: 'code',
      state: trip.state,
      nonce: trip.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(trip.verifier),
      code_challenge_method: 'S256',
    });
    return { url, trip };
  }

  /** Who came back. Throws `sso_failed`; why, only the log of the manager says. */
  async finish(search: string, trip: SsoTrip, requestId: string): Promise<Identity> {
    const { settings, config } = await this.#provider(requestId);
    try {
      const tokens = await client.authorizationCodeGrant(config, new URL(this.#callback + search), {
        pkceCodeVerifier: trip.verifier,
        expectedState: trip.state,
        expectedNonce: trip.nonce,
        idTokenExpected: true,
      });
      const told = tokens.claims();
      if (told === undefined) throw new Error('no ID token came');
      const more = await this.#more(config, settings, tokens.access_token, told);
      return identityOf({ ...more, ...told }, settings.groupsClaim);
    } catch (error) {
      throw this.#failed(error, requestId);
    }
  }

  /** Most providers tell groups in the ID token; the others, when they are asked. */
  async #more(
    config: client.Configuration,
    { groupsClaim }: OidcSettings,
    accessToken: string,
    told: client.IDToken,
  ): Promise<Record<string, unknown>> {
    const isAsked = config.serverMetadata().userinfo_endpoint !== undefined;
    if (told[groupsClaim] !== undefined || !isAsked) return {};
    return { ...(await client.fetchUserInfo(config, accessToken, told.sub)) };
  }

  async #provider(
    requestId: string,
  ): Promise<{ readonly settings: OidcSettings; readonly config: client.Configuration }> {
    const { settings } = this;
    if (settings === null) {
      throw new FleetError('sso_not_configured', 'there is no OpenID provider here');
    }
    const nowMs = this.clock.now();
    if (this.#known === null || nowMs - this.#known.at >= DISCOVERY_MS) {
      this.#known = { at: nowMs, config: discover(settings) };
    }
    const known = this.#known;
    try {
      return { settings, config: await known.config };
    } catch (error) {
      if (this.#known === known) this.#known = null;
      throw this.#failed(error, requestId);
    }
  }

  #failed(error: unknown, requestId: string): FleetError {
    const { name, message, code, error: told } = error as Record<string, unknown>;
    this.log.warn({ requestId, name, message, code, told }, 'a single sign-on failed');
    return new FleetError('sso_failed', 'the sign-in at the provider did not come to an end', {
      cause: error,
    });
  }
}

function discover({ issuer, clientId, clientSecret }: OidcSettings): Promise<client.Configuration> {
  // Only on this machine: the file of settings takes no other address without TLS.
  const isPlain = issuer.protocol === 'http:';
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const execute = isPlain ? [client.allowInsecureRequests] : [];
  return client.discovery(
    issuer,
    clientId,
    undefined,
    clientSecret === null ? client.None() : client.ClientSecretBasic(clientSecret),
    { timeout: ANSWER_MS / SECOND_MS, execute },
  );
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const identityOf = (claims: Readonly<Record<string, unknown>>, groupsClaim: string): Identity => ({
  issuer: textOf(claims['iss']),
  subject: textOf(claims['sub']),
  wantedLogin: textOf(claims['preferred_username']),
  name: textOf(claims['name']),
  groups: claimValues(claims[groupsClaim]),
});
