import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { invalidConfig } from './config.js';

const SECRET_BYTES_MAX = 4_096;

/**
 * The certificates in a file. TLS would take a file without one in silence, and then trust nobody: throws
 * FleetError `config_invalid`, naming the variable.
 */
export function authorityIn(file: string, variable: string): string {
  try {
    const pem = readFileSync(file, 'utf8');
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    const problem = `${file} is no readable file with a certificate in PEM`;
    throw invalidConfig([`${variable}: ${problem}`], error);
  }
}

/** The one line of a file. Throws `config_invalid` when there is none, naming the variable and not the line. */
export function secretIn(file: string, variable: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw invalidConfig([`${variable}: ${file} cannot be read`], error);
  }
  if (text === '' || text.length > SECRET_BYTES_MAX || /[\r\n\0]/.test(text)) {
    throw invalidConfig([`${variable}: ${file}: write the password on one line, and nothing else`]);
  }
  return text;
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
]);

/** Whether Node says by this code that nobody it trusts stands behind a certificate: another file mends that. */
export const isUntrusted = (code: string): boolean => UNTRUSTED.has(code);
