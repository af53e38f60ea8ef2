import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { renewed, SETTLE_MS, type Kept } from './certificate-keeper.js';
import { isIssuedBy, issue, makeAuthority, timesOf } from './certificates.js';

const NAMES = ['hook.bellwether.svc', 'hook.bellwether.svc.cluster.local'];
const DAY_MS = 24 * 3_600_000;
const NOW_MS = Date.parse('2026-11-22T03:00:00Z');

describe('certificates of the webhook', { timeout: 120_000 }, () => {
  const dir = makeTempDir();
  afterAll(() => {
    dir.remove();
  });
  /** What OpenSSL says of the certificate under these authorities, at that time, for that name. */
  const verify = (cert: string, bundle: string, atMs: number, host = NAMES[0] ?? ''): string => {
    const [certFile, caFile] = [join(dir.path, 'cert.pem'), join(dir.path, 'ca.pem')];
    writeFileSync(certFile, cert);
    writeFileSync(caFile, bundle);
    const words = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', host];
    const at = ['-attime', String(Math.floor(atMs / 1_000)), '-CAfile', caFile, certFile];
    const only = ['-no-CApath', '-no-CAstore'];
    try {
      return execFileSync('openssl', ['verify', ...words, ...only, ...at], { stdio: 'pipe' })
        .toString()
        .trim()
        .replace(certFile, 'it');
    } catch (error) {
      return String((error as { stderr: Buffer }).stderr);
    }
  };

  it('are good in the eyes of OpenSSL, for their names and their time', () => {
    const authority = makeAuthority(NOW_MS);
    const pair = issue(authority, NAMES, NOW_MS);
    for (const name of NAMES)
      expect(verify(pair.cert, authority.cert, NOW_MS, name)).toBe('it: OK');
    expect(verify(pair.cert, authority.cert, NOW_MS, 'other.svc')).toContain('hostname mismatch');
    expect(verify(pair.cert, authority.cert, NOW_MS + 91 * DAY_MS)).toContain('expired');
    const other = makeAuthority(NOW_MS);
    expect(verify(pair.cert, other.cert, NOW_MS)).toContain('unable to get local issuer');
    expect(new X509Certificate(authority.cert).ca).toBe(true);
    expect(new X509Certificate(pair.cert).ca).toBe(false);
  });

  it('end with their authority at the latest', () => {
    const authority = makeAuthority(NOW_MS);
    const pair = issue(authority, NAMES, NOW_MS + 700 * DAY_MS);
    expect(timesOf(pair).untilMs).toBe(timesOf(authority).untilMs);
  });

  it('are believed over five years, by who has the bundle of before, too', () => {
    let kept: Kept | null = null;
    let bundleBefore = '';
    let changes = 0;
    // Nobody looks more seldom than once a day here; the program looks each minute.
    for (let atMs = NOW_MS; atMs < NOW_MS + 5 * 365 * DAY_MS; atMs += DAY_MS) {
      const next: Kept = renewed(kept, NAMES, atMs);
      if (next !== kept) {
        changes += 1;
        const bundle = next.authorities.map(({ cert }) => cert).join('');
        for (const trusted of [bundle, bundleBefore === '' ? bundle : bundleBefore]) {
          expect(verify(next.serving.cert, trusted, atMs + 1_000)).toBe('it: OK');
        }
        bundleBefore = bundle;
      }
      kept = {
        ...next,
        authorities: next.authorities.map((one) => ({
          ...one,
          bundled_at_ms: one.bundled_at_ms ?? atMs,
        })),
      };
      expect(kept.authorities.length).toBeLessThanOrEqual(2);
    }
    // A certificate every two months, an authority every sixteen.
    expect(changes).toBeGreaterThan(25);
    expect(changes).toBeLessThan(60);
  });

  it('by a new authority wait until it has settled, and for other names are made at once', () => {
    const first = renewed(null, NAMES, NOW_MS);
    const bundled = (kept: Kept, atMs: number): Kept => ({
      ...kept,
      authorities: kept.authorities.map((one) => ({
        ...one,
        bundled_at_ms: one.bundled_at_ms ?? atMs,
      })),
    });
    const laterMs = NOW_MS + 500 * DAY_MS;
    const second = renewed(bundled(first, NOW_MS), NAMES, laterMs);
    expect(second.authorities).toHaveLength(2);
    const newest = second.authorities[1]!;
    // However long nobody could write the configuration.
    const unbundled = renewed(second, NAMES, laterMs + 10 * DAY_MS);
    expect(isIssuedBy(unbundled.serving, newest)).toBe(false);
    const soon = renewed(bundled(second, laterMs), NAMES, laterMs + SETTLE_MS - 1);
    expect(isIssuedBy(soon.serving, newest)).toBe(false);
    const settled = renewed(bundled(second, laterMs), NAMES, laterMs + SETTLE_MS);
    expect(isIssuedBy(settled.serving, newest)).toBe(true);
    const renamed = renewed(settled, ['other.bellwether.svc'], laterMs + SETTLE_MS);
    expect(renamed.serving.cert).not.toBe(settled.serving.cert);
    expect(renewed(settled, NAMES, laterMs + SETTLE_MS)).toBe(settled);
  });
});
