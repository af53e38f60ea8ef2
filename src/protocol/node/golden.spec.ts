import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Command, ManagerMessage, NODE_MESSAGE_TYPES, NodeMessage } from './index.js';

interface Golden {
  readonly name: string;
  readonly from: 'node' | 'manager';
  readonly frame: { readonly type: string };
  /** Set for bad frames: the field at which they are refused. */
  readonly refused_at?: string;
}

const FOLDER = new URL('./golden/', import.meta.url);
const all: Golden[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => ({
    ...(JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Omit<Golden, 'name'>),
    name,
  }));
const schemaOf = ({ from }: Golden): typeof NodeMessage | typeof ManagerMessage =>
  from === 'node' ? NodeMessage : ManagerMessage;

describe('golden frames', () => {
  it('hold a good frame of every message', () => {
    const good = all.filter((golden) => golden.refused_at === undefined);
    const managerTypes = ManagerMessage.options.map((option) => option.shape.type.value);
    const types = new Set(good.map((golden) => `${golden.from} ${golden.frame.type}`));
    for (const type of NODE_MESSAGE_TYPES) expect(types).toContain(`node ${type}`);
    for (const type of managerTypes) expect(types).toContain(`manager ${type}`);
  });

  for (const golden of all) {
    const { name, frame, refused_at: refusedAt } = golden;
    if (refusedAt === undefined) {
      it(`${name} is understood without losing anything`, () => {
        const parsed = schemaOf(golden).parse(frame);
        expect(parsed).toEqual(frame);
        if (parsed.type === 'command') {
          expect(Command.parse(parsed.command)).toEqual(parsed.command);
        }
      });
      it(`${name} is understood with a field that is not known`, () => {
        expect(schemaOf(golden).safeParse({ ...frame, added_later: { a: 1 } }).success).toBe(true);
      });
    } else {
      it(`${name} is refused at ${refusedAt}`, () => {
        const parsed = schemaOf(golden).safeParse(frame);
        const places = parsed.error?.issues.map((issue) => issue.path.join('.')) ?? [];
        expect(places).toContain(refusedAt);
      });
    }
  }

  it('names a command of an unknown action, so that it can be refused by its id', () => {
    const frame = {
      type: 'command',
      command: { command_id: 'cmd_000001', generation: 1, action: 'brew_coffee', cups: 2 },
    };
    const parsed = ManagerMessage.parse(frame);
    expect(parsed).toEqual(frame);
    expect(Command.safeParse(frame.command).success).toBe(false);
  });

  it('counts details in bytes, not in letters', () => {
    const events = JSON.parse(readFileSync(new URL('events.json', FOLDER), 'utf8')) as {
      frame: { events: { details: Record<string, string> }[] };
    };
    const details = { text: 'é'.repeat(4_000), more: 'x'.repeat(100) };
    const [event] = events.frame.events;
    expect(NodeMessage.safeParse(events.frame).success).toBe(true);
    const tooLarge = {
      ...events.frame,
      events: [{ ...event, details: { ...details, a: 'x'.repeat(200) } }],
    };
    expect(JSON.stringify(tooLarge.events[0]?.details).length).toBeLessThan(8_192);
    expect(NodeMessage.safeParse(tooLarge).success).toBe(false);
  });
});
