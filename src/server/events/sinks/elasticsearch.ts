import { z } from 'zod';
import { jsonLine, toObject } from '../../../core/event/index.js';
import { DeliveryError, failureOf, oneLine } from './delivery-error.js';
import { failureOfAnswer, HttpPoster, saidIn, type HttpAnswer } from './http-post.js';
import {
  failure,
  undelivered,
  type Delivery,
  type OpenReceiver,
  type RefusedEvent,
  type Rendered,
} from './sink.port.js';

const BYTES_MAX = 4 * 1024 * 1024;
const EVENT_BYTES_MAX = 1024 * 1024;
/** An index that knows the id already has the event. */
const CONFLICT = 409;
const TOO_MANY = 429;

const Bulk = z.object({
  errors: z.boolean(),
  items: z.array(
    z.object({
      create: z.object({
        status: z.int(),
        error: z
          .object({ type: z.string().max(10_000), reason: z.string().max(100_000).nullish() })
          .optional(),
      }),
    }),
  ),
});
type Item = z.output<typeof Bulk>['items'][number]['create'];

/**
 * Elasticsearch and OpenSearch: `_bulk` with `create` into a data stream, in ECS. The id of a document is
 * that of sink and event, so that what is sent again is found to be there (409) and counts as delivered;
 * a document that does not fit the mapping (400) is a dead letter; 429 and 5xx of one item stop there,
 * and what comes behind is sent again.
 */
export const openElasticsearch: OpenReceiver<'elasticsearch'> = (opening) => {
  const { config, origin, sinkId } = opening;
  const poster = new HttpPoster({
    url: config.url,
    tls: { ca_pem: config.ca_pem, pin_sha256: config.pin_sha256 },
    guard: opening.guard,
    now: opening.now,
    answerMs: opening.patience?.answerMs,
  });
  const path = `${new URL(config.url).pathname.replace(/\/+$/, '')}/${config.data_stream}/_bulk`;
  const [type = '', dataset = '', namespace = ''] = config.data_stream.split('-');
  const authorization = authorizationOf(opening.credentials);
  const headers = {
    'content-type': 'application/x-ndjson',
    ...(authorization === null ? {} : { authorization }),
  };
  return {
    limits: { events: config.batch_max, bytes: BYTES_MAX, eventBytes: EVENT_BYTES_MAX },
    render: (event) =>
      jsonLine({ ...toObject('ecs', event, origin), data_stream: { type, dataset, namespace } }),
    deliver: async (batch, signal) => {
      const lines = batch.flatMap(({ event, text }) => [
        JSON.stringify({ create: { _id: `${sinkId}.${event.id}` } }),
        text,
      ]);
      try {
        const body = `${lines.join('\n')}\n`;
        const answer = await poster.post({ path, headers, body }, signal);
        const why = failureOfAnswer(answer, poster.host);
        if (why !== null) return undelivered(why, saidIn(answer));
        return deliveryOf(batch, itemsOf(answer, batch.length, poster.host), poster.host);
      } catch (error) {
        return undelivered(failureOf(error, poster.host));
      }
    },
    close: async () => poster.close(),
  };
};

function authorizationOf(given: {
  readonly api_key?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}): string | null {
  if (given.api_key !== undefined) return `ApiKey ${given.api_key}`;
  if (given.username === undefined) return null;
  const login = Buffer.from(`${given.username}:${given.password ?? ''}`).toString('base64');
  return `Basic ${login}`;
}

function itemsOf({ text, isCut }: HttpAnswer, count: number, host: string): readonly Item[] {
  try {
    const { items } = Bulk.parse(JSON.parse(text));
    if (isCut || items.length !== count) throw new Error('not as many items as were sent');
    return items.map(({ create }) => create);
  } catch {
    throw new DeliveryError('sink_answer_invalid', `${host} did not answer like _bulk`);
  }
}

const isTaken = ({ status }: Item): boolean =>
  (status >= 200 && status < 300) || status === CONFLICT;
/** What no later try would change. A missing index or right is the receiver's: it can be mended. */
const isRefused = ({ status }: Item): boolean => status === 400 || status === 413;

function deliveryOf(batch: readonly Rendered[], items: readonly Item[], host: string): Delivery {
  const refused: RefusedEvent[] = [];
  for (const [index, item] of items.entries()) {
    if (isTaken(item)) continue;
    const reason = oneLine(`${item.error?.type ?? ''} ${item.error?.reason ?? ''}`);
    const message = `${host} answered ${item.status} for it: ${reason}`;
    if (isRefused(item)) {
      refused.push({ id: batch[index]?.event.id ?? 0, message });
      continue;
    }
    const code = item.status === TOO_MANY ? 'sink_receiver_busy' : codeOf(item.status);
    return { settled: index, refused, failure: failure(code, message), said: message };
  }
  const said = `${batch.length - refused.length} of ${batch.length} taken`;
  return { settled: batch.length, refused, failure: null, said: refused[0]?.message ?? said };
}

const codeOf = (status: number): 'sink_receiver_refused' | 'sink_receiver_failed' =>
  status >= 400 && status < 500 ? 'sink_receiver_refused' : 'sink_receiver_failed';
