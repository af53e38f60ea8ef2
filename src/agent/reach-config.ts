import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { FleetError } from '../core/kernel/index.js';
import { CONFIG_FILE, proxyFrom, type ReachSettings } from './config.js';
import type { Reach } from './link/index.js';

/** Bundles of whole operating systems have a quarter of it. */
const CA_BYTES_MAX = 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * How this node goes to its manager: proxy, trusted certificates, pins. Throws `config_invalid` when
 * the certificates cannot be read or a proxy of the environment is not an address.
 */
export async function reachFrom(
  dir: string,
  settings: ReachSettings,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Reach> {
  const proxy = proxyFrom(settings, env);
  checkProxy(proxy?.HTTPS_PROXY);
  const { manager_ca_file: file, manager_pins: pins } = settings;
  const ca = file === undefined ? undefined : await readCertificates(resolve(dir, file));
  return { proxy, ca, pins };
}

const invalid = (message: string, cause?: unknown): FleetError =>
  new FleetError('config_invalid', message, { cause });

function checkProxy(proxy: string | undefined): void {
  if (proxy === undefined) return;
  const isAddress = URL.canParse(proxy) && /^https?:$/.test(new URL(proxy).protocol);
  if (isAddress) return;
  // Not told as it is: it may hold a password.
  const hint = `${CONFIG_FILE} overrules it with https_proxy = ""`;
  throw invalid(`HTTPS_PROXY of the environment is not http://… or https://…; ${hint}`);
}

async function readCertificates(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'unknown';
    throw invalid(`manager_ca_file: ${file} cannot be read (${code})`, error);
  }
  if (text.length > CA_BYTES_MAX) {
    throw invalid(`manager_ca_file: ${file} is larger than ${CA_BYTES_MAX} bytes`);
  }
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) {
    throw invalid(`manager_ca_file: ${file} holds no certificate in PEM`);
  }
  for (const [index, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw invalid(`manager_ca_file: certificate ${index + 1} of ${file} cannot be read`, error);
    }
  }
  return certificates.join('\n');
}
