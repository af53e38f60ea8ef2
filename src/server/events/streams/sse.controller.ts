import { once } from 'node:events';
import { Controller, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { FleetError, SECOND_MS } from '../../../core/kernel/index.js';
import type { Input } from '../../../protocol/api/index.js';
import { type Caller, Endpoint, Given, Who } from '../../platform/index.js';
import type { Batch } from './feed.js';
import { endOf, Streams, type Stream, type StreamEnd } from './streams.js';

/** Proxies cut a connection that is silent for 30 s and more. */
export const HEARTBEAT_MS = 15 * SECOND_MS;
/** What a reader that is sent away may still take of his last message. */
const LAST_WORD_MS = 2 * SECOND_MS;
/** Events written at once: some 50 KiB, which is what is held for a slow reader. */
const BATCH = 100;

/** Events as they happen, as server-sent events (WHATWG HTML, 9.2). */
@Controller()
export class EventStreamController {
  constructor(private readonly streams: Streams) {}

  @Endpoint('events.stream')
  async stream(
    @Given() { query }: Input<'events.stream'>,
    @Who() caller: Caller,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const { after, follow, ...asked } = query;
    const from = lastEventId(request) ?? after;
    const stream = await this.streams.open(caller, asked, from);
    try {
      response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
      response.setHeader('X-Accel-Buffering', 'no');
      response.flushHeaders();
      const end = await this.#send(stream, response, follow);
      if (!response.destroyed) sayEnd(response, end, stream.feed.after);
    } finally {
      this.streams.close(stream);
    }
  }

  async #send(stream: Stream, response: Response, follow: boolean): Promise<StreamEnd> {
    const gone = once(response, 'close').then(() => {
      stream.end({ code: 'closed', message: 'closed' });
    });
    gone.catch(() => undefined);
    const told = { id: stream.feed.after };
    const heart = setInterval(() => beat(response, stream, told), HEARTBEAT_MS);
    try {
      while (!stream.isOver) {
        const batch = await stream.feed.take(BATCH);
        if (batch === null && !follow) return { code: 'complete', message: 'that is all for now' };
        if (batch === null) await stream.wait();
        else if (!(await write(response, batch, told, this.streams.patience.slowMs)))
          return TOO_SLOW;
      }
      return await stream.ended;
    } catch (error) {
      return endOf(error);
    } finally {
      clearInterval(heart);
    }
  }
}

const TOO_SLOW: StreamEnd = {
  code: 'stream_too_slow',
  message: 'nothing was read for too long',
};

/** Where the reader had come to; of an id that is none, nothing can be resumed. */
function lastEventId(request: Request): number | undefined {
  const given = request.headers['last-event-id'];
  if (given === undefined || given === '') return undefined;
  if (typeof given === 'string' && /^\d{1,15}$/.test(given)) return Number(given);
  const message = 'give back the id of an event, as it was';
  throw new FleetError('invalid_request', `Last-Event-ID: ${message}`, {
    context: { problems: [{ path: 'headers.last-event-id', message }] },
  });
}

/** False when the reader takes nothing for too long. */
async function write(
  response: Response,
  batch: Batch,
  told: { id: number },
  slowMs: number,
): Promise<boolean> {
  if (batch.items.length === 0 || response.destroyed) return true;
  const text = batch.items.map(({ row, line }) => `id: ${row.id}\ndata: ${line}\n\n`).join('');
  told.id = batch.items.at(-1)?.row.id ?? told.id;
  if (response.write(text)) return true;
  return drained(response, slowMs);
}

function drained(response: Response, slowMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (isDrained: boolean) => (): void => {
      clearTimeout(timer);
      response.off('drain', onDrain).off('close', onDrain);
      resolve(isDrained);
    };
    const onDrain = finish(true);
    const timer = setTimeout(finish(false), slowMs);
    response.once('drain', onDrain).once('close', onDrain);
  });
}

/** A comment; or how far a narrow filter has come, so that a resumed stream does not look at it again. */
function beat(response: Response, { feed }: Stream, told: { id: number }): void {
  if (response.writableNeedDrain || response.destroyed) return;
  if (feed.after <= told.id) {
    response.write(': still here\n\n');
    return;
  }
  told.id = feed.after;
  response.write(`event: progress\nid: ${told.id}\ndata: {"after":${told.id}}\n\n`);
}

function sayEnd(response: Response, end: StreamEnd, after: number): void {
  const data = JSON.stringify({ ...end, resume_after: after });
  response.end(`event: end\nid: ${after}\ndata: ${data}\n\n`);
  setTimeout(() => response.destroy(), LAST_WORD_MS).unref();
}
