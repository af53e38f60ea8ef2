import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AwsClient } from 'aws4fetch';
import { FleetError } from '../../../core/kernel/index.js';

export interface S3Settings {
  /** Scheme, host, perhaps a port. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  /** True: `endpoint/bucket/key`; false: `bucket.endpoint/key`. */
  readonly pathStyle: boolean;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface S3Call {
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** When true, 404 is the answer null and no error. */
  readonly missing?: boolean;
}

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';

/** Until the head of the answer is there; a part of 8 MiB has to go out within it. */
const ANSWER_TIMEOUT_MS = 120_000;
/** All calls are safe to repeat: parts and objects are replaced by the same bytes. */
const TRIES_MAX = 3;
const BACKOFF_BASE_MS = 200;
/** A page of 1000 keys has about 400 KiB. */
const TEXT_BYTES_MAX = 4 * 1024 * 1024;

/** What S3 and its relatives say when there is no room. */
const FULL = ['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage', 'InsufficientCapacity'];
/** May be seen, must not be written. */
const READ_ONLY = ['AccessDenied', 'AllAccessDisabled', 'MethodNotAllowed'];

const unavailable = (message: string, cause?: unknown): FleetError =>
  new FleetError('blob_store_unavailable', message, { kind: 'operational', cause });

/**
 * Calls to one bucket, signed with Signature Version 4, bodies covered by their digest. Redirects are
 * not followed: a signature is for one host. Nothing of a credential is in an error.
 */
export class S3Client {
  readonly #aws: AwsClient;
  readonly #base: string;

  constructor(settings: S3Settings) {
    const { accessKeyId, secretAccessKey, sessionToken, region } = settings;
    this.#aws = new AwsClient({
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
      region,
      service: 's3',
      retries: 0,
    });
    this.#base = addressOf(settings);
  }

  /** A call whose answer is short. Throws as `send`; also for an error that came with status 200. */
  async text(method: Method, key: string, call: S3Call): Promise<string> {
    const answer = await this.send(method, key, call);
    const text = answer === null ? '' : await shortText(answer);
    if (text.includes('<Error>')) throw problemOf(method, 200, text);
    return text;
  }

  /**
   * A call whose body the caller reads. Throws `blob_store_full`, `blob_store_read_only`,
   * `blob_store_unavailable`; what may pass is tried three times.
   */
  async send(method: Method, key: string, call: S3Call): Promise<Response | null> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#once(method, key, call);
      } catch (error) {
        const mayPass = error instanceof FleetError && error.context['passing'] === true;
        if (!mayPass || tries >= TRIES_MAX) throw error;
        await sleep(BACKOFF_BASE_MS * 2 ** tries);
      }
    }
  }

  async #once(method: Method, key: string, call: S3Call): Promise<Response | null> {
    const url = new URL(this.#base);
    url.pathname += key;
    for (const [name, value] of Object.entries(call.query ?? {})) url.searchParams.set(name, value);
    const sha256 = createHash('sha256')
      .update(call.body ?? '')
      .digest('hex');
    const signed = await this.#aws.sign(url.href, {
      method,
      headers: { ...call.headers, 'x-amz-content-sha256': sha256 },
      ...(call.body === undefined ? {} : { body: call.body as Uint8Array<ArrayBuffer> }),
    });
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), ANSWER_TIMEOUT_MS);
    let answer: Response;
    try {
      answer = await fetch(signed, { redirect: 'error', signal: giveUp.signal });
    } catch (error) {
      throw passing(`${url.host} does not answer`, error);
    } finally {
      clearTimeout(timer);
    }
    if (answer.ok) return answer;
    const text = await shortText(answer).catch(() => '');
    if (answer.status === 404 && call.missing === true && !text.includes('NoSuchBucket'))
      return null;
    throw problemOf(method, answer.status, text);
  }
}

/** Where the bucket is, with a slash at the end. */
export function addressOf({
  endpoint,
  bucket,
  pathStyle,
}: Pick<S3Settings, 'endpoint' | 'bucket' | 'pathStyle'>): string {
  const url = new URL(endpoint);
  if (pathStyle) url.pathname = `/${bucket}/`;
  else url.hostname = `${bucket}.${url.hostname}`;
  return url.href;
}

const passing = (message: string, cause?: unknown): FleetError =>
  new FleetError('blob_store_unavailable', message, {
    kind: 'operational',
    context: { passing: true },
    cause,
  });

function problemOf(method: Method, status: number, xml: string): FleetError {
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(xml)?.[1] ?? `status ${status}`;
  if (status === 507 || FULL.includes(code)) {
    return new FleetError('blob_store_full', `the bucket is full (${code}); nothing was stored`, {
      kind: 'operational',
    });
  }
  const writes = method !== 'GET' && method !== 'HEAD';
  if (writes && READ_ONLY.includes(code)) {
    return new FleetError('blob_store_read_only', `the bucket refuses to be written (${code})`, {
      kind: 'operational',
    });
  }
  const message = `the bucket answered ${code} to ${method}`;
  return (status >= 500 && status !== 501) || status === 429
    ? passing(message)
    : unavailable(message);
}

async function shortText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of answer.body ?? []) {
      const bytes = chunk as Uint8Array;
      length += bytes.length;
      if (length > TEXT_BYTES_MAX) throw unavailable('the bucket answered too much');
      chunks.push(bytes);
    }
  } catch (error) {
    throw error instanceof FleetError ? error : unavailable('the answer broke off', error);
  }
  return Buffer.concat(chunks).toString('utf8');
}
