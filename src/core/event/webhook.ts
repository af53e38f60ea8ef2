import { createHmac, timingSafeEqual } from 'node:crypto';

/** Standard Webhooks: secrets are this before 24 to 64 bytes in base64. */
export const WEBHOOK_SECRET_PREFIX = 'whsec_';
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
/** How far the clocks of both sides may be apart; what is older may be a replay. */
const TOLERANCE_SECONDS = 300;

/** The bytes of a secret, or null when it is none. */
export function webhookKey(secret: string): Uint8Array | null {
  if (!secret.startsWith(WEBHOOK_SECRET_PREFIX)) return null;
  const text = secret.slice(WEBHOOK_SECRET_PREFIX.length);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  const key = Buffer.from(text, 'base64');
  return key.length >= SECRET_BYTES_MIN && key.length <= SECRET_BYTES_MAX ? key : null;
}

export interface WebhookMessage {
  readonly id: string;
  readonly timestampSeconds: number;
  readonly body: string;
}

const signatureOf = ({ id, timestampSeconds, body }: WebhookMessage, key: Uint8Array): string =>
  createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64');

/**
 * The headers of Standard Webhooks. While a secret is being changed there are two, and a signature of
 * each: the receiver takes either. Secrets that are none are left out.
 */
export function webhookHeaders(
  message: WebhookMessage,
  secrets: readonly string[],
): Readonly<Record<string, string>> {
  const signatures = secrets
    .map(webhookKey)
    .filter((key) => key !== null)
    .map((key) => `v1,${signatureOf(message, key)}`);
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestampSeconds),
    'webhook-signature': signatures.join(' '),
  };
}

/** What a receiver does: whether one of the signatures is of this secret, and not of long ago. */
export function verifyWebhook(
  headers: Readonly<Record<string, string | undefined>>,
  body: string,
  { secret, nowSeconds }: { readonly secret: string; readonly nowSeconds: number },
): boolean {
  const key = webhookKey(secret);
  const id = headers['webhook-id'] ?? '';
  const timestampSeconds = Number(headers['webhook-timestamp']);
  if (key === null || id === '' || !Number.isInteger(timestampSeconds)) return false;
  if (Math.abs(nowSeconds - timestampSeconds) > TOLERANCE_SECONDS) return false;
  const wanted = Buffer.from(signatureOf({ id, timestampSeconds, body }, key));
  return (headers['webhook-signature'] ?? '').split(' ').some((part) => {
    const given = Buffer.from(part.startsWith('v1,') ? part.slice(3) : '');
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}
