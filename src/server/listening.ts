import { createServer, type AddressInfo } from 'node:net';
import type { FleetError } from '../core/kernel/index.js';
import { invalidConfig, type Config } from './platform/index.js';

const FIXES: Readonly<Record<string, (config: Config) => string>> = {
  EADDRINUSE: ({ host, port }) =>
    `BELLWETHER_PORT: something else listens on ${host} port ${port}; stop it, or take another port`,
  EACCES: ({ port }) =>
    `BELLWETHER_PORT: this user may not listen on port ${port}; take one above 1023`,
  EADDRNOTAVAIL: ({ host }) =>
    `BELLWETHER_HOST: this machine has no address ${host}; take one that it has, or 127.0.0.1`,
  ENOTFOUND: ({ host }) => `BELLWETHER_HOST: the name ${host} is not known; write an address`,
};

/** The error of a listener in words of the configuration; null when it is about something else. */
export function listenProblem(error: unknown, config: Config): FleetError | null {
  const code = String((error as { code?: unknown } | null)?.code);
  const fix = Object.hasOwn(FIXES, code) ? FIXES[code] : undefined;
  return fix === undefined ? null : invalidConfig([fix(config)], error);
}

/**
 * Which port we shall listen on: found before anything is opened, since the public address, and so
 * the audience of every node token, depends on it. Throws `config_invalid` when it is taken.
 */
export async function choosePort(config: Config): Promise<number> {
  const probe = createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      probe.once('error', reject);
      probe.listen({ port: config.port, host: config.host, exclusive: true }, () => {
        resolve((probe.address() as AddressInfo).port);
      });
    });
  } catch (error) {
    throw listenProblem(error, config) ?? error;
  } finally {
    await new Promise<void>((resolve) => probe.close(() => resolve()));
  }
}
