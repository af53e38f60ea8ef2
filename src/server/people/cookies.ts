import { timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError, SECOND_MS } from '../../core/kernel/index.js';
import { CONFIG, type Config } from '../platform/index.js';
import { COOKIE_LIFETIME_MS } from './sessions.store.js';
import { DEVICE_LIFETIME_MS } from './devices.store.js';

/** The sign-in at a provider must come to an end within this. */
export const SSO_MS = 600 * SECOND_MS;
/** Longer headers hold no cookie of ours. */
const HEADER_MAX = 16_384;

const KINDS = {
  session: { maxAgeMs: COOKIE_LIFETIME_MS, sameSite: 'Strict' },
  device: { maxAgeMs: DEVICE_LIFETIME_MS, sameSite: 'Strict' },
  // The way back from the provider is a navigation from another site: `Strict` would lose it.
  sso: { maxAgeMs: SSO_MS, sameSite: 'Lax' },
} as const;
type Kind = keyof typeof KINDS;

/**
 * Our cookies. With TLS they have the prefix `__Host-`: only this host can have set them, over TLS, for
 * every path. Without TLS (a loopback, a test) browsers refuse that prefix, and it is left out.
 */
@Injectable()
export class Cookies {
  readonly #isSecure: boolean;
  readonly #origin: string;

  constructor(@Inject(CONFIG) config: Config) {
    this.#origin = config.publicOrigin;
    this.#isSecure = config.publicOrigin.startsWith('https:');
  }

  nameOf(kind: Kind): string {
    const name = kind === 'session' ? 'bellwether' : `bellwether-${kind}`;
    return this.#isSecure ? `__Host-${name}` : name;
  }

  /** Null when it is missing, or there twice: then somebody planted one. */
  read(request: Request, kind: Kind): string | null {
    const header = request.headers.cookie ?? '';
    if (header.length > HEADER_MAX) return null;
    const name = `${this.nameOf(kind)}=`;
    const found = header
      .split(';')
      .map((part) => part.trim())
      .filter((part) => part.startsWith(name));
    const [only] = found;
    return only === undefined || found.length > 1 ? null : only.slice(name.length);
  }

  set(response: Response, kind: Kind, value: string): void {
    const { maxAgeMs, sameSite } = KINDS[kind];
    this.#append(response, kind, value, Math.floor(maxAgeMs / SECOND_MS), sameSite);
  }

  clear(response: Response, kind: Kind): void {
    this.#append(response, kind, '', 0, KINDS[kind].sameSite);
  }

  #append(response: Response, kind: Kind, value: string, seconds: number, sameSite: string): void {
    const parts = [`${this.nameOf(kind)}=${value}`, 'Path=/', `Max-Age=${seconds}`, 'HttpOnly'];
    if (this.#isSecure) parts.push('Secure');
    response.append('Set-Cookie', [...parts, `SameSite=${sameSite}`].join('; '));
  }

  /**
   * Throws `csrf_invalid` when a browser says that another site sent this. Programs that are no browsers
   * say nothing, and have no cookie that could be abused.
   */
  requireOwnSite(request: Request): void {
    const { origin } = request.headers;
    const site = request.headers['sec-fetch-site'];
    const isForeign =
      (origin !== undefined && origin !== this.#origin) ||
      (site !== undefined && site !== 'same-origin' && site !== 'none');
    if (isForeign) throw csrfInvalid('the request comes from another site');
  }

  /**
   * What changes something needs the value that this very session was told, in a header of our own: no
   * form can send it, no other site may, and that of another session is worth nothing.
   */
  requireCsrf(request: Request, wanted: string): void {
    this.requireOwnSite(request);
    const header = request.headers['x-bellwether-csrf'];
    const given = Buffer.from(typeof header === 'string' ? header : '');
    const right = Buffer.from(wanted);
    if (given.length !== right.length || !timingSafeEqual(given, right)) {
      throw csrfInvalid('X-Bellwether-CSRF is missing, or is not the one of this session');
    }
  }
}

const csrfInvalid = (message: string): FleetError => new FleetError('csrf_invalid', message);
