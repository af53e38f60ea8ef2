/** One server-sent event (WHATWG HTML, 9.2), as our manager writes them. */
export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
  readonly id: number | null;
}

/** More in one event than any of ours holds. */
const EVENT_CHARS_MAX = 1024 * 1024;
/** The page stays alive under a flood: after so long it lets others work. */
const SLICE_MS = 8;

/**
 * The events of a response, in order. Read with `fetch` and not `EventSource`: the manager is slowed down when
 * the page is busy, and problems can be read. Ends when the response ends; throws when it breaks off.
 */
export async function* eventsIn(
  response: Response,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, void> {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const stop = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop);
  try {
    let rest = '';
    let sliceEndsAt = performance.now() + SLICE_MS;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      if (rest.length > EVENT_CHARS_MAX) throw new Error('an event is too long');
      for (const block of blocks) {
        const event = eventOf(block);
        if (event !== null) yield event;
        if (performance.now() < sliceEndsAt) continue;
        await new Promise((resolve) => setTimeout(resolve));
        sliceEndsAt = performance.now() + SLICE_MS;
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

function eventOf(block: string): ServerSentEvent | null {
  let event = 'message';
  let id: number | null = null;
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const at = line.indexOf(':');
    const field = line.slice(0, at);
    const value = line.slice(at + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    if (field === 'id') id = Number(value);
    if (field === 'data') data.push(value);
  }
  return data.length === 0 && event === 'message' ? null : { event, data: data.join('\n'), id };
}
