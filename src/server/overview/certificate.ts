import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DAY_MS, toIso } from '../../core/kernel/index.js';
import type { Need } from './need-lines.js';

/** Time enough for whoever gets certificates by hand. */
const SOON_MS = 21 * DAY_MS;

/** The certificate of the manager itself, when it ends soon or cannot be read. */
export function certificateNeed(file: string, now: number): Need[] {
  let endsAt: number;
  try {
    endsAt = Date.parse(new X509Certificate(readFileSync(file)).validTo);
  } catch {
    // What cannot be read is told by `TlsFiles`, in the log, and the old one goes on.
    return [];
  }
  if (endsAt > now + SOON_MS) return [];
  return [
    {
      kind: 'certificate_expiring',
      severity: 'critical',
      code: endsAt <= now ? 'certificate_expired' : 'certificate_expires_soon',
      message: `The TLS certificate of the manager ends at ${toIso(endsAt)}; after it no node can connect.`,
      fix: 'Put a new certificate and key in place of the files; they are taken over without a restart.',
      target: { kind: 'manager', id: 'tls', path: '/settings' },
      group_id: null,
      count: 1,
      at: toIso(endsAt),
    },
  ];
}
