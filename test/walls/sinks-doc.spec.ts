import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseGiven } from '../../src/cli/command.js';
import { createSink } from '../../src/cli/sinks/index.js';
import { configOf } from '../../src/cli/sinks/sink-options.js';
import {
  ALERT_RULES,
  EVENT_FORMATS,
  toLine,
  toObject,
  webhookHeaders,
  type FleetEvent,
} from '../../src/core/event/index.js';
import { SINK_CONFIGS, SINK_KINDS, type SinkKind } from '../../src/protocol/api/index.js';
import { ROOT } from './tree.js';

const textOf = (name: string): string => readFileSync(join(ROOT, 'docs', name), 'utf8');
const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''));

const EVENT: FleetEvent = {
  id: 4711,
  at: '2026-11-21T08:00:00.123Z',
  occurred_at: '2026-11-21T07:59:58.001Z',
  clock: 'ok',
  category: 'upgrade',
  type: 'upgrade_failed',
  version: 3,
  severity: 'critical',
  node_id: 'nod_one000',
  group_id: 'grp_one000',
  rollout_id: 'rol_one000',
  command_id: 'cmd_one000',
  service: 'edge',
  error_code: 'upgrade_hook_failed',
  message: 'it failed',
  details: { hook: 'hook_of_details' },
};
const ORIGIN = { manager: 'https://bellwether.example', version: '0.1.0' };

/** What a form writes differently; the others write the value as it is. */
const WRITTEN: Readonly<Record<string, string>> = {
  'severity ocsf': '5',
  'severity cef': '9',
  'at cef': String(Date.parse(EVENT.at)),
  'occurred_at cef': String(Date.parse(EVENT.occurred_at)),
};

function valueIn(form: string, place: string): string {
  if (form === 'cef' || form === 'leef') {
    const line = toLine(form, EVENT, ORIGIN);
    const header = /^header (\d)$/.exec(place)?.[1];
    if (header !== undefined) return line.split('|')[Number(header) - 1] ?? '';
    const pairs =
      line
        .split('|')
        .at(-1)
        ?.split(form === 'leef' ? '\t' : / (?=\w+=)/) ?? [];
    return pairs.find((pair) => pair.startsWith(`${place}=`))?.slice(place.length + 1) ?? '';
  }
  const path = place === '@timestamp' ? [place] : place.split('.');
  let value: unknown = toObject(form as 'ecs', EVENT, ORIGIN);
  for (const name of path) value = (value as Record<string, unknown> | undefined)?.[name];
  return typeof value === 'string' ? value : JSON.stringify(value);
}

describe('docs/event-formats.md', () => {
  const table = textOf('event-formats.md')
    .replace(/^[^]*<!-- fields -->/, '')
    .replace(/<!-- end -->[^]*$/, '')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const [head = [], , ...rows] = table.map(cellsOf);

  it('has a row for each field of an event, and a column for each form', () => {
    expect(head.slice(1).concat('json').sort()).toEqual([...EVENT_FORMATS].sort());
    expect(rows.map(([field]) => field)).toEqual([...Object.keys(EVENT)]);
  });

  it('says where each field stands', () => {
    for (const [field = '', ...places] of rows) {
      for (const [index, place] of places.entries()) {
        const form = head[index + 1] ?? '';
        const wanted = field === 'details' ? 'hook_of_details' : String(EVENT[field as 'id']);
        const told = [field, form, valueIn(form, place)];
        const right = WRITTEN[`${field} ${form}`] ?? wanted;
        if (field === 'details') expect(told[2]).toContain(right);
        else expect(told).toEqual([field, form, right]);
      }
    }
  });
});

describe('docs/sinks.md', () => {
  const page = textOf('sinks.md');
  const commands = page.split('\n').filter((line) => line.startsWith('bellwether sinks create '));

  it('has a command for each kind that the manager would take', async () => {
    const kinds = new Set<string>();
    for (const command of commands) {
      const words = command.split(' ').slice(3);
      const given = parseGiven(createSink, words);
      const kind = given.text('kind') as SinkKind;
      // The file with certificates is the reader's.
      const others = words.filter((word, index) => ![word, words[index - 1]].includes('--ca-file'));
      const config = await configOf(parseGiven(createSink, others));
      expect(SINK_CONFIGS[kind].safeParse(config).error?.issues).toBeUndefined();
      kinds.add(kind);
    }
    expect([...kinds].sort()).toEqual([...SINK_KINDS].sort());
  });

  it('names every setting of every kind', () => {
    const named = new Set(
      page
        .split('\n')
        .filter((line) => line.startsWith('| `'))
        .flatMap((line) =>
          [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name),
        ),
    );
    const settings = SINK_KINDS.flatMap((kind) => Object.keys(SINK_CONFIGS[kind].shape));
    expect(settings.filter((name) => !named.has(name))).toEqual([]);
    expect(ALERT_RULES.filter((name) => !named.has(name))).toEqual([]);
  });

  it('has code that checks a webhook, and checks it', async () => {
    const code = /```js\n([^]*?)```/.exec(page)?.[1] ?? '';
    const module = (await import(
      /* @vite-ignore */ `data:text/javascript,${encodeURIComponent(code)}`
    )) as {
      isFromBellwether: (
        headers: object,
        body: string,
        secret: string,
        nowSeconds: number,
      ) => boolean;
    };
    const secrets = [1, 2].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`);
    const body = '[{"id":1}]';
    const headers = webhookHeaders({ id: 'snk_1.1', timestampSeconds: 1_000, body }, secrets);
    const check = (text: string, secret = secrets[1] ?? '', now = 1_000): boolean =>
      module.isFromBellwether(headers, text, secret, now);
    expect([check(body), check(body, secrets[0]), check(body, secrets[0], 1_299)]).toEqual([
      ...[true, true, true],
    ]);
    const other = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
    expect([check(`${body} `), check(body, other), check(body, secrets[0], 1_301)]).toEqual([
      ...[false, false, false],
    ]);
  });
});
