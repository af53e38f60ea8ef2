import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { Event } from '../../protocol/api/index.js';
import type { Client } from '../client.js';
import type { Command } from '../command.js';
import { connect, MANAGER_OPTIONS, OUTPUT_OPTION } from '../connection.js';
import { formOf, jsonText, plain, yamlText, type Form } from '../output/index.js';
import type { Terminal } from '../terminal.js';
import { whole } from '../values.js';
import { EventId, FILTER_OPTIONS, filtersOf } from './filters.js';

/** Between two tries to come back; doubled each time, up to the last. */
const RETRY_MS = 500;
const RETRY_MS_MAX = 15_000;
/** What a manager that restarts, or a line that breaks, looks like from here. */
const PASSES: readonly string[] = ['manager_unreachable', 'unavailable', 'stream_too_slow'];

const End = z.object({ code: z.string(), message: z.string(), resume_after: z.int() });

/** Thrown to leave a stream in its middle; never told. */
const ENOUGH = new FleetError('complete', 'that was all that was asked for');

export const tailEvents: Command = {
  name: 'events tail',
  summary: 'follow events as they happen',
  operands: [],
  options: {
    after: { value: 'N', help: 'begin behind this id (default: now)' },
    limit: { value: 'N', help: 'stop after so many' },
    follow: { short: 'f', help: 'what it always does; there for the habit' },
    ...FILTER_OPTIONS,
    ...MANAGER_OPTIONS,
    ...OUTPUT_OPTION,
  },
  notes: [
    'With -o json each event is one line, with -o yaml one document. When the connection breaks it goes on where it was, without a gap',
    'and without a repetition, until you stop it.',
  ],
  run: async (given, terminal) => {
    const form = formOf(given);
    const limit = given.read('limit', whole(1, Number.MAX_SAFE_INTEGER)) ?? Infinity;
    const client = await connect(given, terminal);
    const tail = new EventTail(client, terminal, (event, line) => {
      terminal.out(eventText(event, line, form));
    });
    await tail.run(filtersOf(given), given.read('after', EventId), limit);
  },
};

function eventText(event: Event, line: string, form: Form): string {
  if (form === 'json') return `${jsonText(JSON.parse(line), 0)}\n`;
  if (form === 'yaml') return `---\n${yamlText(JSON.parse(line))}`;
  return form === 'name' ? `${event.id}\n` : lineFor(event);
}

const lineFor = ({ id, at, severity, type, node_id: node, message }: Event): string =>
  `${plain([id, at, severity.padEnd(8), type, node ?? '-', message].join('  '))}\n`;

/** Reads the stream and comes back to it where it was. */
class EventTail {
  readonly #client: Client;
  readonly #terminal: Terminal;
  readonly #show: (event: Event, line: string) => void;
  #after: number | undefined;
  #left = Infinity;
  /** Messages that came, over all connections. */
  #count = 0;
  #text = '';
  #decoder = new TextDecoder();

  constructor(client: Client, terminal: Terminal, show: (event: Event, line: string) => void) {
    this.#client = client;
    this.#terminal = terminal;
    this.#show = show;
  }

  async run(
    filters: ReturnType<typeof filtersOf>,
    after: number | undefined,
    limit: number,
  ): Promise<void> {
    this.#left = limit;
    // "Now" is said once: what happens while a connection is away must not be left out.
    this.#after = after ?? (await this.#newest());
    for (let waitMs = RETRY_MS; ;) {
      const before = this.#count;
      const error = await this.#follow(filters);
      if (error === ENOUGH) return;
      if (!PASSES.includes(error.code)) throw error;
      waitMs = this.#count > before ? RETRY_MS : Math.min(RETRY_MS_MAX, waitMs * 2);
      this.#terminal.err(`${plain(error.message)}; going on after ${this.#after}\n`);
      await this.#terminal.sleep(waitMs);
    }
  }

  async #newest(): Promise<number> {
    const query = { order: 'newest', limit: 1 } as const;
    return (await this.#client.call('events.list', { query })).next_after;
  }

  /** Why the stream ended. */
  async #follow(filters: ReturnType<typeof filtersOf>): Promise<FleetError> {
    this.#text = '';
    this.#decoder = new TextDecoder();
    try {
      const query = { ...filters, after: this.#after };
      await this.#client.download('events.stream', { query }, async (chunk) => {
        this.#take(chunk);
      });
      return new FleetError('manager_unreachable', 'the stream broke off');
    } catch (error) {
      if (error instanceof FleetError) return error;
      throw error;
    }
  }

  #take(chunk: Uint8Array): void {
    this.#text += this.#decoder.decode(chunk, { stream: true });
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const fields = this.#text.slice(0, end).split('\n');
      this.#text = this.#text.slice(end + 2);
      const field = (name: string): string | undefined =>
        fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      if (data !== undefined) this.#told(field('event') ?? 'message', data, Number(field('id')));
    }
  }

  #told(event: string, data: string, id: number): void {
    const json = JSON.parse(data) as unknown;
    if (event === 'end') {
      const { code, message, resume_after: after } = End.parse(json);
      this.#after = after;
      throw new FleetError(code, message);
    }
    this.#count += 1;
    if (Number.isSafeInteger(id)) this.#after = id;
    if (event !== 'message') return;
    this.#show(Event.parse(json), data);
    this.#left -= 1;
    if (this.#left <= 0) throw ENOUGH;
  }
}
