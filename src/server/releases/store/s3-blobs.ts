import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { FleetError } from '../../../core/kernel/index.js';
import type { Blobs, ByteRange, StoredBlob } from './blobs.port.js';
import { noBlob, Receipt, received } from './received.js';
import { S3Client, type S3Settings } from './s3-client.js';

/**
 * 8 MiB: above the smallest part that S3 takes (5 MiB), and with at most 10 000 parts room for 78 GiB.
 * One upload holds one part in memory, whatever the size of the artifact.
 */
const PART_BYTES = 8 * 1024 * 1024;
/** What one ListObjectsV2 gives at most. */
const LIST_MAX = 1_000;
const KEY = /^[0-9a-f]{2}\/([0-9a-f]{64})$/;

interface Upload {
  readonly key: string;
  readonly id: string;
  readonly etags: string[];
}

/**
 * Artifacts in a bucket of S3, or of anything that speaks it: `<prefix>sha256/ab/<digest>`. An object
 * appears when its last call succeeds, and that call is made only when the digest is right.
 */
export class S3Blobs implements Blobs {
  readonly #client: S3Client;
  readonly #prefix: string;

  constructor(settings: S3Settings & { readonly prefix: string }) {
    this.#client = new S3Client(settings);
    this.#prefix = `${settings.prefix}sha256/`;
  }

  async find(sha256: string): Promise<StoredBlob | null> {
    const answer = await this.#client.send('HEAD', this.#keyOf(sha256), { missing: true });
    if (answer === null) return null;
    const size = Number(answer.headers.get('content-length') ?? Number.NaN);
    const storedAt = Date.parse(answer.headers.get('last-modified') ?? '');
    if (Number.isSafeInteger(size) && !Number.isNaN(storedAt)) return { sha256, size, storedAt };
    throw new FleetError('blob_store_unavailable', 'the bucket does not say enough of a blob', {
      kind: 'operational',
    });
  }

  async put(sha256: string, bytes: Readable, bytesMax: number): Promise<{ size: number }> {
    const receipt = new Receipt(bytesMax);
    const key = this.#keyOf(sha256);
    let upload: Upload | null = null;
    let rest: Buffer = Buffer.alloc(0);
    try {
      for await (const part of parts(bytes, receipt)) {
        if (part.length < PART_BYTES) {
          rest = part;
          continue;
        }
        upload ??= await this.#begin(key);
        await this.#part(upload, part);
      }
      receipt.mustBe(sha256);
      if (upload === null) await this.#client.text('PUT', key, { body: rest });
      else await this.#complete(upload, rest);
    } catch (error) {
      if (upload !== null) await this.#abort(upload.key, upload.id);
      throw error;
    }
    return { size: receipt.size };
  }

  async adopt(sha256: string, path: string): Promise<void> {
    await this.put(sha256, createReadStream(path), Number.MAX_SAFE_INTEGER);
  }

  async read(sha256: string, { start, end }: ByteRange): Promise<Readable> {
    if (end < start) return Readable.from([]);
    const answer = await this.#client.send('GET', this.#keyOf(sha256), {
      headers: { range: `bytes=${start}-${end}` },
      missing: true,
    });
    if (answer === null) throw noBlob(sha256);
    const length = Number(answer.headers.get('content-length') ?? end - start + 1);
    if (answer.body === null || length !== end - start + 1) {
      await answer.body?.cancel();
      throw new FleetError(
        'blob_store_unavailable',
        'the bucket answered another part than asked',
        {
          kind: 'operational',
        },
      );
    }
    return Readable.fromWeb(answer.body);
  }

  /** S3 does not tell whether there was something to delete, so it is asked first. */
  async remove(sha256: string): Promise<boolean> {
    if ((await this.find(sha256)) === null) return false;
    await this.#client.text('DELETE', this.#keyOf(sha256), {});
    return true;
  }

  async list(after: string | null, limit: number): Promise<readonly StoredBlob[]> {
    const found: StoredBlob[] = [];
    let from = after === null ? null : this.#keyOf(after);
    while (found.length < limit) {
      const count = Math.min(LIST_MAX, limit - found.length);
      const xml = await this.#client.text('GET', '', {
        query: {
          'list-type': '2',
          prefix: this.#prefix,
          'max-keys': String(count),
          ...(from === null ? {} : { 'start-after': from }),
        },
      });
      const objects = elements(xml, 'Contents');
      for (const object of objects) {
        const key = valueOf(object, 'Key');
        from = key;
        const blob = this.#blobOf(object, key);
        if (blob !== null) found.push(blob);
      }
      if (objects.length === 0 || valueOf(xml, 'IsTruncated') !== 'true') break;
    }
    return found;
  }

  async tidy(beforeMs: number): Promise<number> {
    const query = { uploads: '', prefix: this.#prefix, 'max-uploads': String(LIST_MAX) };
    const xml = await this.#client.text('GET', '', { query }).catch((error: unknown) => {
      // Not every store lists them; those that do not have a lifecycle rule for it.
      if (error instanceof FleetError && error.message.includes('NotImplemented')) return '';
      throw error;
    });
    const old = elements(xml, 'Upload').filter(
      (upload) => Date.parse(valueOf(upload, 'Initiated')) < beforeMs,
    );
    for (const upload of old)
      await this.#abort(valueOf(upload, 'Key'), valueOf(upload, 'UploadId'));
    return old.length;
  }

  #keyOf(sha256: string): string {
    return `${this.#prefix}${sha256.slice(0, 2)}/${sha256}`;
  }

  /** Null for what somebody else put there. */
  #blobOf(object: string, key: string): StoredBlob | null {
    const sha256 = KEY.exec(key.slice(this.#prefix.length))?.[1];
    const size = Number(valueOf(object, 'Size'));
    const storedAt = Date.parse(valueOf(object, 'LastModified'));
    return sha256 === undefined || Number.isNaN(storedAt) ? null : { sha256, size, storedAt };
  }

  async #begin(key: string): Promise<Upload> {
    const xml = await this.#client.text('POST', key, { query: { uploads: '' } });
    return { key, id: valueOf(xml, 'UploadId'), etags: [] };
  }

  async #part(upload: Upload, body: Buffer): Promise<void> {
    const query = { partNumber: String(upload.etags.length + 1), uploadId: upload.id };
    const answer = await this.#client.send('PUT', upload.key, { query, body });
    await answer?.body?.cancel();
    upload.etags.push(answer?.headers.get('etag') ?? '');
  }

  async #complete(upload: Upload, rest: Buffer): Promise<void> {
    if (rest.length > 0) await this.#part(upload, rest);
    const list = upload.etags
      .map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
      .join('');
    // It may answer 200 and tell the failure in the body.
    await this.#client.text('POST', upload.key, {
      query: { uploadId: upload.id },
      body: Buffer.from(`<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`),
    });
  }

  /** What cannot be aborted now is found by `tidy`. */
  async #abort(key: string, uploadId: string): Promise<void> {
    await this.#client.text('DELETE', key, { query: { uploadId } }).catch(() => undefined);
  }
}

/** The stream in parts of one size; only the last may be smaller, and may be empty. */
async function* parts(bytes: Readable, receipt: Receipt): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let size = 0;
  for await (const chunk of received(bytes)) {
    receipt.take(chunk);
    waiting.push(chunk);
    size += chunk.length;
    if (size < PART_BYTES) continue;
    let whole = Buffer.concat(waiting);
    for (; whole.length >= PART_BYTES; whole = whole.subarray(PART_BYTES)) {
      yield whole.subarray(0, PART_BYTES);
    }
    waiting = [whole];
    size = whole.length;
  }
  yield Buffer.concat(waiting);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'",
  '&amp;': '&',
};

/** The few answers that are read here are flat lists of names, sizes and times. */
const elements = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, 'g'))].map(
    ([, text = '']) => text,
  );

const valueOf = (xml: string, name: string): string =>
  (elements(xml, name)[0] ?? '').replace(
    /&(lt|gt|quot|apos|amp);/g,
    (entity) => ENTITIES[entity] ?? '',
  );
