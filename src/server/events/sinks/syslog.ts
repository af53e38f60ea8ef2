import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6, type Socket } from 'node:net';
import { octetCounted, toLine, toSyslog } from '../../../core/event/index.js';
import { DeliveryError, failureOf } from './delivery-error.js';
import { openSocket } from './guarded-socket.js';
import {
  delivered,
  undelivered,
  type Opening,
  type OpenReceiver,
  type Rendered,
} from './sink.port.js';

const EVENTS_MAX = 500;
const BYTES_MAX = 1024 * 1024;
/** RFC 5425 and RFC 5426: receivers should take so much. Over TCP and TLS most take 64 KiB. */
const UDP_BYTES_MAX = 2_048;
const STREAM_BYTES_MAX = 65_536;
/** What UDP can carry at all, whatever is configured. */
const DATAGRAM_BYTES_MAX = 65_507;
/** One batch, from connecting to the close of the receiver. */
const BATCH_TIMEOUT_MS = 30_000;

/**
 * RFC 5424 over TLS (RFC 5425), TCP (RFC 6587, octet counting) or UDP (RFC 5426). Syslog has no
 * acknowledgement. So on a stream each batch has a connection of its own, which is closed on our side; the
 * receiver sees the end behind the last message, and closes too: then it has read them all. When it dies
 * before, its kernel resets the connection, and the batch is sent again. UDP promises nothing.
 */
export const openSyslog: OpenReceiver<'syslog'> = (opening) => {
  const { config, origin } = opening;
  const isUdp = config.transport === 'udp';
  const most = config.message_bytes_max ?? (isUdp ? UDP_BYTES_MAX : STREAM_BYTES_MAX);
  const where = `${config.host}:${config.port}`;
  return {
    limits: {
      events: EVENTS_MAX,
      bytes: BYTES_MAX,
      eventBytes: isUdp ? Math.min(most, DATAGRAM_BYTES_MAX) : most,
    },
    render: (event) =>
      toSyslog(event, toLine(config.format, event, origin), { origin, facility: config.facility }),
    deliver: async (batch, signal) => {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(BATCH_TIMEOUT_MS)]);
      try {
        await (isUdp ? sendDatagrams(opening, batch, limit) : sendStream(opening, batch, limit));
        const how = isUdp ? 'sent; UDP has no answer' : saidFor(config.confirm);
        return delivered(batch.length, how);
      } catch (error) {
        return undelivered(failureOf(error, where));
      }
    },
    close: async () => undefined,
  };
};

const saidFor = (confirm: 'close' | 'sent'): string =>
  confirm === 'close' ? 'the receiver read all and closed' : 'handed to the network';

async function sendStream(
  { config, credentials, guard }: Opening<'syslog'>,
  batch: readonly Rendered[],
  signal: AbortSignal,
): Promise<void> {
  const { host, port, transport, ca_pem, pin_sha256, server_name: serverName } = config;
  const { client_cert_pem, client_key_pem } = credentials;
  const tls =
    transport === 'tls'
      ? { ca_pem, pin_sha256, serverName, client_cert_pem, client_key_pem }
      : null;
  const socket = await openSocket({ host, port, tls }, guard, signal);
  const stop = (): void => void socket.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await transferred(socket, batch, config.confirm);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}

async function transferred(
  socket: Socket,
  batch: readonly Rendered[],
  confirm: 'close' | 'sent',
): Promise<void> {
  const errors: Error[] = [];
  socket.on('error', (error) => errors.push(error));
  // Nothing is expected; what comes all the same is read, or the end behind it would never be seen.
  socket.resume();
  const ended = once(socket, 'end');
  ended.catch(() => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const frames = Buffer.concat(batch.map(({ text }) => octetCounted(text)));
  const written = new Promise<void>((resolve, reject) => {
    // The callback of `end` comes when everything is handed to the network.
    socket.once('error', reject);
    socket.end(frames, () => resolve());
  });
  await Promise.race([written, closed]);
  if (confirm === 'close') await Promise.race([ended.catch(() => undefined), closed]);
  const [failed] = errors;
  if (failed !== undefined) throw failed;
  if (!socket.writableFinished || (confirm === 'close' && !socket.readableEnded)) {
    throw new DeliveryError('sink_receiver_unreachable', 'the receiver closed in the middle');
  }
}

async function sendDatagrams(
  { config, guard }: Opening<'syslog'>,
  batch: readonly Rendered[],
  signal: AbortSignal,
): Promise<void> {
  const address = await guard.resolve(config.host, signal);
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      // Connected, so that "nobody is there" comes back as an error of a later message.
      socket.connect(config.port, address, () => resolve());
    });
    for (const { text } of batch) {
      if (signal.aborted) throw signal.reason;
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.send(text, (error) => (error === null ? resolve() : reject(error)));
      });
      socket.removeAllListeners('error');
    }
  } finally {
    socket.removeAllListeners('error');
    socket.on('error', () => undefined);
    socket.close();
  }
}
