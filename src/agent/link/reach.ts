import { createHash, X509Certificate } from 'node:crypto';
import { Agent as HttpsAgent } from 'node:https';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { FleetError } from '../../core/kernel/index.js';

/** How this node goes to its manager. Everything here is local configuration. */
export interface Reach {
  /** The proxy for https, and where it is not used, as in `HTTPS_PROXY` and `NO_PROXY`. */
  readonly proxy?: { readonly HTTPS_PROXY: string; readonly NO_PROXY?: string } | undefined;
  /** Certificates in PEM: whom to trust as manager, and nobody else. Without it: whom Node trusts. */
  readonly ca?: string | undefined;
  /** If any: the manager must also hold one of these keys, each as `sha256//` and base64. */
  readonly pins?: readonly string[] | undefined;
}

/** The pin of a certificate: SHA-256 over its public key (SPKI, DER), as `curl` writes it. */
export function pinOf(certificate: Buffer): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return `sha256//${createHash('sha256').update(key).digest('base64')}`;
}

/**
 * Makes the connections to the manager: through the proxy if there is one, in a tunnel of TLS that
 * the proxy cannot look into. For https only: what goes in the clear goes without it. Of the
 * environment nothing counts.
 */
export function agentFor({ proxy, ca, pins = [] }: Reach, keepAlive: boolean): HttpsAgent {
  return new HttpsAgent({
    keepAlive,
    ...(proxy === undefined ? {} : { proxyEnv: { ...proxy } }),
    ...(ca === undefined ? {} : { ca }),
    ...(pins.length === 0
      ? {}
      : {
          checkServerIdentity: (host: string, certificate: PeerCertificate) =>
            checkServerIdentity(host, certificate) ?? problemWithKey(certificate, pins),
          // A session that is taken up again is not looked at again.
          maxCachedSessions: 0,
        }),
  });
}

function problemWithKey(certificate: PeerCertificate, pins: readonly string[]): Error | undefined {
  const pin = pinOf(certificate.raw);
  if (pins.includes(pin)) return undefined;
  return new FleetError('manager_pin_mismatch', `the key ${pin} is not one of manager_pins`);
}
