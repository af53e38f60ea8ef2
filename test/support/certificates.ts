import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { makeTempDir } from './databases.js';

/** Files of a certificate, as servers want them. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** An authority of this spec alone, which nobody trusts unless told to. */
export interface TestAuthority {
  readonly caFile: string;
  /** A certificate for these names, such as `DNS:localhost`. */
  issue(...names: readonly string[]): CertificateFiles;
  remove(): void;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

const openssl = (...words: readonly string[]): void =>
  void execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Made with the `openssl` of the machine (3.0 or newer): Node reads certificates and writes none. */
export function makeAuthority(): TestAuthority {
  const dir = makeTempDir();
  const make = (name: string, ...words: readonly string[]): CertificateFiles => {
    const certFile = join(dir.path, `${name}.pem`);
    const keyFile = join(dir.path, `${name}.key`);
    const files = ['-keyout', keyFile, '-out', certFile, '-days', '2'];
    openssl('req', '-x509', ...KEY, ...files, ...words);
    return { certFile, keyFile };
  };
  const ca = make('ca', '-subj', '/CN=authority of a spec');
  let count = 0;
  return {
    caFile: ca.certFile,
    issue: (...names) => {
      const by = ['-CA', ca.certFile, '-CAkey', ca.keyFile];
      const extensions = [
        `subjectAltName=${names.join(',')}`,
        'basicConstraints=critical,CA:FALSE',
      ];
      return make(
        `server-${(count += 1)}`,
        ...['-subj', '/CN=server of a spec', ...by],
        ...extensions.flatMap((one) => ['-addext', one]),
      );
    },
    remove: () => dir.remove(),
  };
}
