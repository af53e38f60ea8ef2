import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Stored {
  readonly bytes: Buffer;
  readonly at: Date;
}

interface Upload {
  readonly key: string;
  readonly at: Date;
  readonly parts: Map<number, Buffer>;
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer =>
  createHmac('sha256', key).update(data).digest();
const etagOf = (bytes: Buffer): string => `"${createHash('md5').update(bytes).digest('hex')}"`;
const uriEncode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
  ) {
    super(code);
  }
}

/** S3 refuses parts below this, but for the last one. */
const PART_BYTES_MIN = 5 * 1024 * 1024;

/**
 * As much of S3 as a store of blobs asks for, written from its documentation and not from our client:
 * objects, multipart uploads, ranges, ListObjectsV2. Every request must carry a Signature Version 4
 * over its method, path, query, signed headers and body. No npm or Debian package that could be had
 * does that without a large stack of its own. A spec may break it.
 */
export class S3Server {
  readonly bucket = 'artifacts';
  readonly credential = { accessKeyId: 'AKIATEST', secretAccessKey: 'very/secret+key' };
  readonly region = 'eu-test-1';
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, Upload>();
  /** Requests that were let in, such as `PUT /artifacts/x`. */
  readonly seen: string[] = [];
  trouble: 'full' | 'read_only' | null = null;
  /** So many of the next requests are answered 503. */
  outages = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        const { status, code } =
          error instanceof Refusal ? error : new Refusal(500, 'InternalError');
        const body = `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`;
        response.writeHead(status, { 'content-type': 'application/xml' });
        response.end(request.method === 'HEAD' ? undefined : body);
      });
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (this.outages > 0) {
      this.outages -= 1;
      throw new Refusal(503, 'SlowDown');
    }
    this.#authenticate(request, body);
    const url = new URL(request.url ?? '', this.url);
    const [, bucket, ...rest] = url.pathname.split('/');
    if (bucket !== this.bucket) throw new Refusal(404, 'NoSuchBucket');
    const key = decodeURIComponent(rest.join('/'));
    const method = request.method ?? '';
    this.seen.push(`${method} ${url.pathname}`);
    if (this.trouble === 'read_only' && !['GET', 'HEAD'].includes(method)) {
      throw new Refusal(403, 'AccessDenied');
    }
    if (this.trouble === 'full' && method === 'PUT') throw new Refusal(507, 'XMinioStorageFull');
    this.#serve({ method, key, query: url.searchParams, body, request, response });
  }

  /** As in "Authenticating Requests: Using the Authorization Header" of the S3 API reference. */
  #authenticate(request: IncomingMessage, body: Buffer): void {
    const form =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
    const found = form.exec(request.headers.authorization ?? '');
    if (found === null) throw new Refusal(403, 'AccessDenied');
    const [, id = '', day = '', region = '', signedHeaders = '', signature = ''] = found;
    if (id !== this.credential.accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId');
    const time = String(request.headers['x-amz-date']);
    const at = Date.parse(
      time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
    );
    if (!time.startsWith(day) || !(Math.abs(at - Date.now()) < 900_000)) {
      throw new Refusal(403, 'RequestTimeTooSkewed');
    }
    const names = signedHeaders.split(';');
    const told = String(request.headers['x-amz-content-sha256']);
    if (!names.includes('host') || !names.includes('x-amz-content-sha256')) {
      throw new Refusal(403, 'AccessDenied');
    }
    if (told !== sha256(body)) throw new Refusal(400, 'XAmzContentSHA256Mismatch');
    const { pathname, searchParams } = new URL(request.url ?? '', this.url);
    const query = [...searchParams]
      .map(([name, value]) => `${uriEncode(name)}=${uriEncode(value)}`)
      .sort()
      .join('&');
    const path = decodeURIComponent(pathname).split('/').map(uriEncode).join('/');
    const headers = names
      .map((name) => `${name}:${String(request.headers[name]).trim()}\n`)
      .join('');
    const canonical = [request.method, path, query, headers, signedHeaders, told].join('\n');
    const scope = `${day}/${region}/s3/aws4_request`;
    const text = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
    const dayKey = hmac(`AWS4${this.credential.secretAccessKey}`, day);
    const key = hmac(hmac(hmac(dayKey, this.region), 's3'), 'aws4_request');
    const wanted = hmac(key, text);
    if (!timingSafeEqual(wanted, Buffer.from(signature, 'hex'))) {
      throw new Refusal(403, 'SignatureDoesNotMatch');
    }
  }

  #serve(call: Call): void {
    const { method, key, query, body, response } = call;
    const uploadId = query.get('uploadId');
    const xml = (text: string): void =>
      void response.writeHead(200, { 'content-type': 'application/xml' }).end(text);
    if (key === '') xml(query.has('uploads') ? this.#listUploads(query) : this.#list(query));
    else if (method === 'POST' && query.has('uploads')) xml(this.#begin(key));
    else if (method === 'POST' && uploadId !== null) xml(this.#complete(key, uploadId, body));
    else if (method === 'PUT' && uploadId !== null) this.#part(call, uploadId);
    else if (method === 'DELETE' && uploadId !== null) {
      if (!this.uploads.delete(uploadId)) throw new Refusal(404, 'NoSuchUpload');
      response.writeHead(204).end();
    } else if (method === 'PUT') {
      this.objects.set(key, { bytes: body, at: new Date() });
      response.writeHead(200, { etag: etagOf(body) }).end();
    } else if (method === 'DELETE') {
      this.objects.delete(key);
      response.writeHead(204).end();
    } else this.#get(call);
  }

  #get({ method, key, request, response }: Call): void {
    const stored = this.objects.get(key);
    if (stored === undefined) throw new Refusal(404, 'NoSuchKey');
    const { bytes, at } = stored;
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    if (from !== undefined && start >= bytes.length) throw new Refusal(416, 'InvalidRange');
    const part = from === undefined ? bytes : bytes.subarray(start, Number(to) + 1);
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': part.length,
      'last-modified': at.toUTCString(),
      etag: etagOf(bytes),
    });
    response.end(method === 'HEAD' ? undefined : part);
  }

  #list(query: URLSearchParams): string {
    const max = Number(query.get('max-keys') ?? 1_000);
    const after = query.get('start-after') ?? '';
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after)
      .sort();
    const shown = keys.slice(0, max).map((key) => {
      const { bytes, at } = this.objects.get(key) ?? { bytes: Buffer.alloc(0), at: new Date(0) };
      return (
        `<Contents><Key>${key}</Key><LastModified>${at.toISOString()}</LastModified>` +
        `<Size>${bytes.length}</Size></Contents>`
      );
    });
    const more = String(keys.length > max);
    return `<ListBucketResult><IsTruncated>${more}</IsTruncated>${shown.join('')}</ListBucketResult>`;
  }

  #listUploads(query: URLSearchParams): string {
    const shown = [...this.uploads]
      .filter(([, { key }]) => key.startsWith(query.get('prefix') ?? ''))
      .map(
        ([id, { key, at }]) =>
          `<Upload><Key>${key}</Key><UploadId>${id}</UploadId>` +
          `<Initiated>${at.toISOString()}</Initiated></Upload>`,
      );
    return `<ListMultipartUploadsResult>${shown.join('')}</ListMultipartUploadsResult>`;
  }

  #begin(key: string): string {
    const id = randomUUID();
    this.uploads.set(id, { key, at: new Date(), parts: new Map() });
    return `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`;
  }

  #part({ key, query, body, response }: Call, uploadId: string): void {
    const upload = this.uploads.get(uploadId);
    if (upload?.key !== key) throw new Refusal(404, 'NoSuchUpload');
    upload.parts.set(Number(query.get('partNumber')), body);
    response.writeHead(200, { etag: etagOf(body) }).end();
  }

  #complete(key: string, uploadId: string, body: Buffer): string {
    const upload = this.uploads.get(uploadId);
    if (upload?.key !== key) throw new Refusal(404, 'NoSuchUpload');
    const asked = [
      ...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>(.*?)<\/ETag>/g),
    ];
    const parts = asked.map(([, number, etag]) => {
      const part = upload.parts.get(Number(number));
      if (part === undefined || etagOf(part) !== etag) throw new Refusal(400, 'InvalidPart');
      return part;
    });
    if (parts.length === 0 || parts.slice(0, -1).some((part) => part.length < PART_BYTES_MIN)) {
      throw new Refusal(400, 'EntityTooSmall');
    }
    this.objects.set(key, { bytes: Buffer.concat(parts), at: new Date() });
    this.uploads.delete(uploadId);
    return `<CompleteMultipartUploadResult><Key>${key}</Key></CompleteMultipartUploadResult>`;
  }
}

interface Call {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}
