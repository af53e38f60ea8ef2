import { globalAgent } from 'node:https';
import tls from 'node:tls';

/**
 * From now on this process trusts the certificates of this PEM, and no others. Idempotent. Uploads go
 * through `https.request`, all else through `fetch`.
 */
export function trustOnly(pem: string): void {
  tls.setDefaultCACertificates([pem]);
  globalAgent.options.ca = pem;
  if (process.versions['bun'] === undefined) return;
  // The executable runs on a runtime whose `fetch` takes certificates only with each call.
  const plainFetch = globalThis.fetch;
  const withTrust: typeof globalThis.fetch = (url, init) => {
    const trusting: RequestInit & { readonly tls: object } = { ...init, tls: { ca: pem } };
    return plainFetch(url, trusting);
  };
  globalThis.fetch = withTrust;
}
