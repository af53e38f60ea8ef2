import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { invalidConfig } from '../config/index.js';

/** Looked at, not watched: a swapped symbolic link or a mounted secret tells no watcher. */
export const TLS_LOOK_MS = 2_000;

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Certificate and key of the manager's own TLS. Changed files are taken over without a restart, for new
 * connections; those that do not fit together are not, and the log says so: the old ones go on.
 */
export class TlsFiles {
  #pair: Pair;
  #refused: Pair | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** Throws `config_invalid` when they cannot be read or do not fit. */
  constructor(
    private readonly files: { readonly certFile: string; readonly keyFile: string },
    private readonly log: Logger,
  ) {
    try {
      this.#pair = this.#read();
    } catch (error) {
      throw invalidConfig(
        [
          'BELLWETHER_TLS_CERT_FILE: the certificate and BELLWETHER_TLS_KEY_FILE cannot be read, or do not ' +
            'fit together',
        ],
        error,
      );
    }
  }

  get options(): SecureContextOptions {
    return optionsOf(this.#pair);
  }

  /** Looks for new files until the server is closed. */
  follow(server: Server): void {
    this.#timer = setInterval(() => this.#look(server), TLS_LOOK_MS).unref();
    server.once('close', () => {
      if (this.#timer !== null) clearInterval(this.#timer);
    });
  }

  #look(server: Server): void {
    try {
      const pair = this.#read();
      if (isSame(pair, this.#pair)) return;
      server.setSecureContext(optionsOf(pair));
      this.#pair = pair;
      this.#refused = null;
      this.log.info('new TLS certificate in use');
    } catch (error) {
      this.#complain(error);
    }
  }

  /** Once for each state of the files: half of a pair may stand there for days. */
  #complain(error: unknown): void {
    const now = this.#unchecked();
    if (this.#refused !== null && isSame(now, this.#refused)) return;
    this.#refused = now;
    const code = (error as { code?: unknown }).code;
    this.log.error({ code }, 'TLS files cannot be used; the certificate from before stays in use');
  }

  #read(): Pair {
    const { certFile, keyFile } = this.files;
    const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    // Throws when the key is not that of the certificate.
    createSecureContext(optionsOf(pair));
    return pair;
  }

  #unchecked(): Pair {
    const textOf = (file: string): string => {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return '';
      }
    };
    return { cert: textOf(this.files.certFile), key: textOf(this.files.keyFile) };
  }
}

const isSame = (a: Pair, b: Pair): boolean => a.cert === b.cert && a.key === b.key;
const optionsOf = (pair: Pair): SecureContextOptions => ({ ...pair, minVersion: 'TLSv1.2' });
