import { z } from 'zod';

/** Ids in one message; whoever has more to say sends more messages. */
export const IDS_MAX = 500;

/** The largest answer to a poll, 512 KiB, in base64, and room. */
const SEALED_MAX = 768 * 1024;

const Id = z.string().regex(/^[a-z]{2,4}_[A-Za-z0-9_-]{1,64}$/);
const Ids = z.array(Id).min(1).max(IDS_MAX);

/**
 * All that managers tell each other. Ids only, but for polls, which are sealed: whoever hears it looks up in SQL what is true, so a message that
 * was forged, lost, repeated or late costs a look, and nothing else.
 */
export const TOPICS = {
  /** New commands of nodes that the hearer holds. */
  commands: z.object({ ids: Ids }),
  /** Something changed about nodes that the hearer may hold: moved on, revoked, transferred. */
  nodes: z.object({ ids: Ids }),
  /** There are new events. */
  events: z.object({}),
  /** Something of a product was published or yanked. */
  releases: z.object({ product: z.string().min(1).max(128) }),
  /** A request of a poll that the hearer has, and what it answers. Sealed: Redis can neither read nor make one. */
  poll_ask: z.object({ id: Id, sealed: z.string().max(SEALED_MAX) }),
  poll_answer: z.object({ id: Id, sealed: z.string().max(SEALED_MAX) }),
} as const;

export type Topic = keyof typeof TOPICS;
export type MessageOf<T extends Topic> = z.infer<(typeof TOPICS)[T]>;

/** As it goes over the wire. `from`: nobody hears himself. */
const Envelope = z.object({
  v: z.literal(1),
  from: Id,
  topic: z.string().max(32),
  body: z.unknown(),
});

/** A sealed one, and room. */
export const MESSAGE_BYTES_MAX = SEALED_MAX + 1_024;

export interface Heard {
  readonly from: string;
  readonly topic: Topic;
  readonly body: unknown;
}

export const isTopic = (text: string): text is Topic => Object.hasOwn(TOPICS, text);

export const write = <T extends Topic>(from: string, topic: T, body: MessageOf<T>): string =>
  JSON.stringify({ v: 1, from, topic, body });

/** Null: nothing that a manager of this version would say. */
export function read(text: string): Heard | null {
  if (text.length > MESSAGE_BYTES_MAX) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const envelope = Envelope.safeParse(json);
  if (!envelope.success || !isTopic(envelope.data.topic)) return null;
  const { from, topic } = envelope.data;
  const body = TOPICS[topic].safeParse(envelope.data.body);
  return body.success ? { from, topic, body: body.data } : null;
}
