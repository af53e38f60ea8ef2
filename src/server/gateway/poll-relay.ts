import { Inject, Injectable } from '@nestjs/common';
import { z } from 'zod';
import { FleetError, MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import { SyncAnswer, SyncRequest } from '../../protocol/node/index.js';
import { BUS, CLOCK, Members, newId, Secrets, type Bus, type Clock } from '../platform/index.js';

/** Requests that wait for another manager; who comes then is told to come again. */
const WAITING_MAX = 20_000;
/** What the way there and back may take, beyond what is held on purpose. */
const WAY_MS = 5 * SECOND_MS;
/** Clocks of managers may differ by this; what is older was kept by somebody and told again. */
const OLD_MS = MINUTE_MS;

const Ask = z.object({
  at: z.number(),
  node_id: z.string().max(64),
  wait_ms: z.int().min(0).max(60_000),
  request: SyncRequest,
});
const Told = z.union([
  z.object({ answer: SyncAnswer }),
  z.object({ refused: z.enum(['poll_unknown', 'poll_out_of_order', 'rate_limited']) }),
]);
type Refused = Extract<z.infer<typeof Told>, { refused: string }>['refused'];

/** A request of a poll, as the manager that has the poll gets it. */
export interface Relayed {
  readonly nodeId: string;
  readonly request: SyncRequest;
  readonly waitMs: number;
}

interface Waiting {
  readonly to: string;
  readonly answer: PromiseWithResolvers<SyncAnswer>;
}

/**
 * Behind a load balancer each request of a poll may come to another manager: it is passed on to the one that has the
 * poll, and its answer back. Both are sealed under the master key, which all managers share, and bound to sender,
 * hearer and request: who writes to Redis can lose them, and no more, since a poll bears repetitions.
 */
@Injectable()
export class PollRelay {
  readonly #waiting = new Map<string, Waiting>();
  #take: ((relayed: Relayed) => Promise<SyncAnswer>) | null = null;

  constructor(
    @Inject(BUS) private readonly bus: Bus,
    private readonly members: Members,
    private readonly secrets: Secrets,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    bus.hear('poll_ask', (message) => {
      // Who asked hears nothing, and tells the node to ask again.
      this.#asked(message).catch(() => undefined);
    });
    bus.hear('poll_answer', (message) => this.#answered(message));
  }

  /** Whether there is anybody to pass on to. */
  get isPossible(): boolean {
    return this.bus.isShared;
  }

  /** Who takes what comes for polls that are here; throws as `Polls.sync` does. */
  onAsk(take: (relayed: Relayed) => Promise<SyncAnswer>): void {
    this.#take = take;
  }

  /** Throws what the other manager threw; `unavailable` when it does not answer. */
  async ask(to: string, { nodeId, request, waitMs }: Relayed): Promise<SyncAnswer> {
    if (this.#waiting.size >= WAITING_MAX) throw unavailable();
    const id = newId('ask');
    const ask = { at: this.clock.now(), node_id: nodeId, wait_ms: waitMs, request };
    const answer = Promise.withResolvers<SyncAnswer>();
    this.#waiting.set(id, { to, answer });
    const timer = setTimeout(() => answer.reject(unavailable()), waitMs + WAY_MS);
    try {
      const sealed = this.#seal('poll-ask', to, id, ask);
      if (!this.bus.tell('poll_ask', { id, sealed }, to)) throw unavailable();
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  async #asked(message: { readonly id: string; readonly sealed: string }): Promise<void> {
    const opened = this.#open('poll-ask', this.members.id, message);
    const ask = Ask.safeParse(opened?.body);
    if (opened === null || !ask.success || this.#take === null) return;
    const { at, node_id: nodeId, request, wait_ms: waitMs } = ask.data;
    if (Math.abs(this.clock.now() - at) > OLD_MS) return;
    const told = await this.#take({ nodeId, request, waitMs }).then(
      (answer) => ({ answer }),
      (error: unknown) => ({ refused: refusalOf(error) }),
    );
    const { id } = message;
    const sealed = this.#seal('poll-answer', opened.from, id, told);
    this.bus.tell('poll_answer', { id, sealed }, opened.from);
  }

  #answered(message: { readonly id: string; readonly sealed: string }): void {
    const waiting = this.#waiting.get(message.id);
    const opened = this.#open('poll-answer', this.members.id, message);
    if (waiting === undefined || opened?.from !== waiting.to) return;
    const told = Told.safeParse(opened.body);
    if (!told.success) return;
    if ('answer' in told.data) waiting.answer.resolve(told.data.answer);
    else waiting.answer.reject(new FleetError(told.data.refused, TEXTS[told.data.refused]));
  }

  #seal(purpose: 'poll-ask' | 'poll-answer', to: string, id: string, body: unknown): string {
    const from = this.members.id;
    return this.secrets.wrap(purpose, `${to} ${id}`, JSON.stringify({ from, body }));
  }

  /** Null: it was not for us, or no manager said it. */
  #open(
    purpose: 'poll-ask' | 'poll-answer',
    to: string,
    { id, sealed }: { readonly id: string; readonly sealed: string },
  ): { readonly from: string; readonly body: unknown } | null {
    const text = this.secrets.unwrap(purpose, `${to} ${id}`, sealed);
    return text === null ? null : (JSON.parse(text) as { from: string; body: unknown });
  }
}

const TEXTS: Readonly<Record<Refused, string>> = {
  poll_unknown: 'the manager that had this poll knows it no more',
  poll_out_of_order: 'a request of this poll left out messages',
  rate_limited: 'this node asks too often',
};

/** Anything else is of that manager: the node begins a new poll, perhaps at a better one. */
const refusalOf = (error: unknown): Refused => {
  const code = error instanceof FleetError ? error.code : '';
  return code === 'poll_out_of_order' || code === 'rate_limited' ? code : 'poll_unknown';
};

const unavailable = (): FleetError =>
  new FleetError('unavailable', 'the manager that has this poll does not answer', {
    kind: 'operational',
  });
