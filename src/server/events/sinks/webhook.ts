import {
  jsonLine,
  toObject,
  webhookHeaders,
  type ObjectFormat,
} from '../../../core/event/index.js';
import { failureOf } from './delivery-error.js';
import { failureOfAnswer, HttpPoster, saidIn } from './http-post.js';
import { delivered, undelivered, type OpenReceiver, type Rendered } from './sink.port.js';

const BYTES_MAX = 1024 * 1024;
const EVENT_BYTES_MAX = 512 * 1024;

const TYPE_ALONE: Readonly<Partial<Record<ObjectFormat, string>>> = {
  cloudevents: 'application/cloudevents+json',
};
const TYPE_OF_LIST: Readonly<Partial<Record<ObjectFormat, string>>> = {
  cloudevents: 'application/cloudevents-batch+json',
};

/**
 * The id of a request, by which a receiver knows a repetition: the same events always have the same. A
 * later try may hold other events in one request; each still has its own id inside.
 */
const idOf = (sinkId: string, batch: readonly Rendered[]): string => {
  const [first, last] = [batch[0]?.event.id ?? 0, batch.at(-1)?.event.id ?? 0];
  return first === last ? `${sinkId}.${first}` : `${sinkId}.${first}-${last}`;
};

/** HTTP webhook after Standard Webhooks: JSON lists of events, signed under every secret that counts. */
export const openWebhook: OpenReceiver<'webhook'> = (opening) => {
  const { config, credentials, origin, sinkId, now } = opening;
  const poster = new HttpPoster({
    url: config.url,
    tls: { ca_pem: config.ca_pem, pin_sha256: config.pin_sha256 },
    guard: opening.guard,
    now,
    answerMs: opening.patience?.answerMs,
  });
  const isAlone = config.batch_max === 1;
  const type = (isAlone ? TYPE_ALONE : TYPE_OF_LIST)[config.format] ?? 'application/json';
  return {
    limits: { events: config.batch_max, bytes: BYTES_MAX, eventBytes: EVENT_BYTES_MAX },
    render: (event) => jsonLine(toObject(config.format, event, origin)),
    deliver: async (batch, signal) => {
      const texts = batch.map(({ text }) => text).join(',');
      const body = isAlone ? texts : `[${texts}]`;
      const message = {
        id: idOf(sinkId, batch),
        timestampSeconds: Math.floor(now() / 1000),
        body,
      };
      const { authorization } = credentials;
      try {
        const answer = await poster.post(
          {
            headers: {
              'content-type': type,
              ...webhookHeaders(message, secretsOf(credentials, now())),
              ...(authorization === undefined ? {} : { authorization }),
            },
            body,
          },
          signal,
        );
        const why = failureOfAnswer(answer, poster.host);
        const said = saidIn(answer);
        return why === null ? delivered(batch.length, said) : undelivered(why, said);
      } catch (error) {
        return undelivered(failureOf(error, poster.host));
      }
    },
    close: async () => poster.close(),
  };
};

/** The secret, and the one before it while that still counts. */
function secretsOf(credentials: Readonly<Record<string, unknown>>, now: number): string[] {
  const { secret, old_secret: old, old_until: until } = credentials;
  const isOldGood = typeof old === 'string' && typeof until === 'number' && until > now;
  return [...(typeof secret === 'string' ? [secret] : []), ...(isOldGood ? [old] : [])];
}
