import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { jsonLine, toObject } from '../../../core/event/index.js';
import { DeliveryError, failureOf } from './delivery-error.js';
import { failureOfAnswer, HttpPoster, saidIn, type HttpAnswer } from './http-post.js';
import { delivered, undelivered, type OpenReceiver } from './sink.port.js';

const BYTES_MAX = 1024 * 1024;
const EVENT_BYTES_MAX = 512 * 1024;
/** Splunk asks to be polled every 10 s at least; acknowledgements come within seconds. */
const POLL_FIRST_MS = 200;
const POLL_MAX_MS = 5_000;
/** Indexers that say nothing for so long have lost it; the events are sent again. */
const ACK_TIMEOUT_MS = 120_000;

const HecAnswer = z.object({
  code: z.int().optional(),
  text: z.string().max(1_000).optional(),
  ackId: z.int().min(0).optional(),
  'invalid-event-number': z.int().min(0).optional(),
});
const AckAnswer = z.object({ acks: z.record(z.string(), z.boolean()) });

/**
 * Codes of the HTTP Event Collector, from its list of possible error codes: what is wrong with an event.
 * The others tell of the token, the index, the load.
 */
const FAULTS_OF_EVENTS = [5, 6, 12, 13, 15];

const parsed = <T extends z.ZodType>(schema: T, { text, isCut }: HttpAnswer, host: string) => {
  try {
    if (isCut) throw new Error('cut');
    return schema.parse(JSON.parse(text));
  } catch {
    throw new DeliveryError(
      'sink_answer_invalid',
      `${host} did not answer like an event collector`,
    );
  }
};

/**
 * Splunk HTTP Event Collector. With `acknowledge` events are settled only when the indexers say so: the
 * collector alone keeps them in memory.
 */
export const openSplunk: OpenReceiver<'splunk'> = (opening) => {
  const { config, credentials, origin } = opening;
  const poster = new HttpPoster({
    url: config.url,
    tls: { ca_pem: config.ca_pem, pin_sha256: config.pin_sha256 },
    guard: opening.guard,
    now: opening.now,
    answerMs: opening.patience?.answerMs,
  });
  const base = new URL(config.url).pathname.replace(/\/(services\/collector(\/event)?)?\/*$/, '');
  // A channel for each run: its numbers of acknowledgements are nobody else's.
  const channel = randomUUID();
  const headers = {
    authorization: `Splunk ${credentials.token}`,
    'content-type': 'application/json',
    ...(config.acknowledge ? { 'x-splunk-request-channel': channel } : {}),
  };

  const acknowledged = async (ackId: number, signal: AbortSignal): Promise<void> => {
    const path = `${base}/services/collector/ack?channel=${channel}`;
    const body = JSON.stringify({ acks: [ackId] });
    const deadline = performance.now() + (opening.patience?.acknowledgeMs ?? ACK_TIMEOUT_MS);
    for (let waitMs = POLL_FIRST_MS; performance.now() < deadline; waitMs *= 2) {
      const answer = await poster.post({ path, headers, body }, signal);
      const why = failureOfAnswer(answer, poster.host);
      if (why !== null)
        throw new DeliveryError(why.code, why.message, { retryAfterMs: why.retryAfterMs });
      if (parsed(AckAnswer, answer, poster.host).acks[String(ackId)] === true) return;
      await sleep(Math.min(POLL_MAX_MS, waitMs), undefined, { signal });
    }
    throw new DeliveryError('sink_not_acknowledged', `${poster.host} did not acknowledge in time`);
  };

  return {
    limits: { events: config.batch_max, bytes: BYTES_MAX, eventBytes: EVENT_BYTES_MAX },
    render: (event) =>
      jsonLine({
        time: Date.parse(event.at) / 1000,
        host: new URL(origin.manager).hostname,
        source: config.source,
        sourcetype: config.sourcetype,
        ...(config.index === undefined ? {} : { index: config.index }),
        event: toObject(config.format, event, origin),
        fields: { event_id: String(event.id), severity: event.severity, category: event.category },
      }),
    deliver: async (batch, signal) => {
      try {
        const body = batch.map(({ text }) => text).join('\n');
        const path = `${base}/services/collector/event`;
        const answer = await poster.post({ path, headers, body }, signal);
        const why = failureOfHec(answer, poster.host);
        if (why !== null) return undelivered(why, saidIn(answer));
        const { ackId } = parsed(HecAnswer, answer, poster.host);
        if (config.acknowledge) {
          if (ackId === undefined) {
            throw new DeliveryError(
              'sink_not_acknowledged',
              `${poster.host} gave no acknowledgement id: switch it on for the token, or off for the sink`,
            );
          }
          await acknowledged(ackId, signal);
        }
        return delivered(batch.length, saidIn(answer));
      } catch (error) {
        return undelivered(failureOf(error, poster.host));
      }
    },
    close: async () => poster.close(),
  };
};

/** The collector says 400 for wrong events and for wrong settings alike; its code tells which. */
function failureOfHec(answer: HttpAnswer, host: string): ReturnType<typeof failureOfAnswer> {
  const why = failureOfAnswer(answer, host);
  if (why === null || answer.status !== 400) return why;
  const { code, text } = parsed(HecAnswer, answer, host);
  const isFaultOfEvent = code !== undefined && FAULTS_OF_EVENTS.includes(code);
  return {
    ...why,
    code: isFaultOfEvent ? 'sink_event_refused' : 'sink_receiver_refused',
    message: `${host} answered ${answer.status}: code ${code ?? '-'} ${(text ?? '').slice(0, 100)}`,
    isFaultOfEvent,
  };
}
