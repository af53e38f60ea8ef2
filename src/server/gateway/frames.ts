import { z } from 'zod';
import { NODE_MESSAGE_TYPES, NodeMessage } from '../../protocol/node/index.js';

const Envelope = z.looseObject({ type: z.string().max(64) });
const KNOWN_TYPES: ReadonlySet<string> = new Set(NODE_MESSAGE_TYPES);

/** What a text frame of a node holds, or which rule of the link it breaks and how that is told. */
export type Frame =
  | { readonly problem: null; readonly message: NodeMessage }
  | { readonly problem: 'frame_not_json'; readonly told: null }
  | { readonly problem: 'message_unknown' | 'message_invalid'; readonly told: string };

/** Never throws. `data` is as long as the socket lets a frame be, at the most. */
export function readFrame(data: Buffer): Frame {
  let json: unknown;
  try {
    json = JSON.parse(data.toString('utf8'));
  } catch {
    return { problem: 'frame_not_json', told: null };
  }
  // The happy path is one schema check; only a refusal looks closer.
  const parsed = NodeMessage.safeParse(json);
  if (parsed.success) return { problem: null, message: parsed.data };
  const envelope = Envelope.safeParse(json);
  if (!envelope.success) return { problem: 'frame_not_json', told: null };
  const { type } = envelope.data;
  if (!KNOWN_TYPES.has(type)) {
    return { problem: 'message_unknown', told: `no message of type ${type} is known here` };
  }
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') ?? 'message';
  return { problem: 'message_invalid', told: `${where}: ${issue?.message ?? 'invalid'}` };
}
