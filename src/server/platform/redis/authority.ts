import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { invalidConfig } from '../config/index.js';

/**
 * Whom to trust when Redis speaks TLS; null: whom Node trusts. Throws FleetError `config_invalid`: TLS
 * would take a file without a certificate in silence, and then trust nobody.
 */
export function authorityIn(file: string | null): string | null {
  if (file === null) return null;
  try {
    const pem = readFileSync(file, 'utf8');
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    const problem = `${file} is no readable file with a certificate in PEM`;
    throw invalidConfig([`BELLWETHER_REDIS_CA_FILE: ${problem}`], error);
  }
}
