import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { DeliveryError, failureOf } from './delivery-error.js';
import type { NetworkGuard } from './network-guard.js';

/** How the other side of TLS is known. */
export interface TlsSettings {
  readonly ca_pem?: string | undefined;
  /** This key and no other. Without `ca_pem` it alone decides, whoever signed the certificate. */
  readonly pin_sha256?: string | undefined;
  readonly serverName?: string | undefined;
  readonly client_cert_pem?: string | undefined;
  readonly client_key_pem?: string | undefined;
}

export interface Destination {
  readonly host: string;
  readonly port: number;
  /** Null: plain TCP. */
  readonly tls: TlsSettings | null;
}

/**
 * A connected socket to an address that the guard allowed; with TLS only when the certificate is right, so
 * that nothing is ever sent to somebody else. Throws DeliveryError. The socket is the caller's to end.
 */
export async function openSocket(
  destination: Destination,
  guard: NetworkGuard,
  signal: AbortSignal,
): Promise<Socket> {
  const { host, port, tls } = destination;
  const where = `${host}:${port}`;
  const address = await guard.resolve(host, signal);
  if (signal.aborted) throw new DeliveryError('sink_receiver_timeout', `${where} was given up`);
  const socket = connectTcp({ host: address, port, noDelay: true, allowHalfOpen: true });
  try {
    await opened(socket, 'connect', signal);
    return tls === null ? socket : await secured(socket, host, tls, signal);
  } catch (error) {
    socket.destroy();
    throw new DeliveryError(...wordsOf(error, where));
  }
}

const wordsOf = (error: unknown, where: string): ConstructorParameters<typeof DeliveryError> => {
  const { code, message, retryAfterMs, isFaultOfEvent } = failureOf(error, where);
  return [code, message, { retryAfterMs, isFaultOfEvent }];
};

async function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  // Without a listener a late error would end the process.
  socket.on('error', () => undefined);
  const ended = once(socket, 'close', { signal }).then(() => {
    throw new DeliveryError('sink_receiver_unreachable', 'the receiver closed the connection');
  });
  ended.catch(() => undefined);
  await Promise.race([once(socket, event, { signal }), ended]);
}

async function secured(
  socket: Socket,
  host: string,
  tls: TlsSettings,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const name = (tls.serverName ?? host).replace(/^\[|\]$/g, '');
  const isPinnedOnly = tls.pin_sha256 !== undefined && tls.ca_pem === undefined;
  const options: ConnectionOptions = {
    socket,
    host: name,
    minVersion: 'TLSv1.2',
    // With a pin alone the key is compared below, before anything is sent.
    rejectUnauthorized: !isPinnedOnly,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(tls.ca_pem === undefined ? {} : { ca: tls.ca_pem }),
    ...(tls.client_cert_pem === undefined ? {} : { cert: tls.client_cert_pem }),
    ...(tls.client_key_pem === undefined ? {} : { key: tls.client_key_pem }),
  };
  const secure = connectTls(options);
  await opened(secure, 'secureConnect', signal);
  if (tls.pin_sha256 !== undefined && pinOf(secure) !== tls.pin_sha256) {
    secure.destroy();
    throw new DeliveryError('sink_tls_failed', `${host} has another key than the one pinned`);
  }
  return secure;
}

function pinOf(socket: TLSSocket): string {
  const { raw } = socket.getPeerCertificate();
  const spki = new X509Certificate(raw).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('base64');
}
