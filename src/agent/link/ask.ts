import { request as httpRequest, type Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type Agent as HttpsAgent } from 'node:https';

export interface Asking {
  /** GET when not given. */
  readonly method?: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Makes the connection; `false` is one of its own, in the clear or to whom Node trusts. */
  readonly agent: HttpAgent | HttpsAgent | false;
  /** For connection, tunnel and head of the answer together. */
  readonly timeoutMs: number;
  /** An answer that pauses for longer than this is cut off; without it, whoever reads watches it. */
  readonly silenceMs?: number;
  /** Ends the request, and an answer that is being read. */
  readonly signal?: AbortSignal;
}

/**
 * One request. Resolves with the head of the answer, whatever its status; the body is for the
 * caller, who reads it to its end or destroys it. Redirects are not followed. Rejects with the error
 * of the network, with the reason of the signal, or when no head came in time; never hangs.
 */
export function ask(url: string, asking: Asking): Promise<IncomingMessage> {
  const { method = 'GET', agent, timeoutMs: timeout, silenceMs, signal, body } = asking;
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  const length = body === undefined ? {} : { 'content-length': String(body.byteLength) };
  const headers = { ...asking.headers, ...length };
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const asked = request(url, { method, headers, agent, timeout, signal });
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    // A request that waits for its tunnel does not hear that it was destroyed: it ends by its own
    // `timeout`, and whoever waits for it is told here.
    const fail = (error: Error): void => {
      end();
      asked.destroy();
      reject(error);
    };
    const onAbort = (): void => {
      fail(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      fail(new Error('no answer came in time'));
    }, timeout);
    signal?.addEventListener('abort', onAbort, { once: true });
    asked.on('response', (response) => {
      end();
      if (silenceMs !== undefined) {
        response.setTimeout(silenceMs, () => response.destroy(new Error('the answer broke off')));
      }
      resolve(response);
    });
    asked.on('error', fail);
    asked.end(body);
  });
}

/** The whole body, or null when it is longer than that: then it is not read on. Rejects when it breaks off. */
export async function bytesOf(response: IncomingMessage, bytesMax: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) {
      response.destroy();
      return null;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
