import { CloudEvent } from 'cloudevents';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EVENT_FORMATS,
  EVENT_SEVERITIES,
  octetCounted,
  toLine,
  toObject,
  toSyslog,
  visible,
  type FleetEvent,
} from './index.js';

const ORIGIN = { manager: 'https://bellwether.example:8480', version: '0.1.0' };
const anEvent = (over: Partial<FleetEvent> = {}): FleetEvent => ({
  id: 42,
  at: '2026-11-21T08:00:00.123Z',
  occurred_at: '2026-11-21T08:00:00.123Z',
  clock: 'ok',
  category: 'upgrade',
  type: 'upgrade_completed',
  version: 3,
  severity: 'info',
  node_id: 'nod_one000',
  group_id: 'grp_east00',
  rollout_id: 'rol_one000',
  command_id: null,
  service: 'edge',
  error_code: null,
  message: 'edge runs 1.1.0',
  details: { version: '1.1.0' },
  ...over,
});

/** Text that means something to one of the forms, and text that means nothing to anybody. */
const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        ...['|', '\\', '=', '\n', '\r', '\t', '^', ']', '"', '\u0000', '\u007f', '\u0085'],
        ...['\u2028', '\u202e', '\ud800', '\udfff', '🐑', 'CEF:0|', 'msg=', ' cs1=', 'a', ' '],
      ),
      { maxLength: 30 },
    )
    .map((parts) => parts.join('')),
);
const anyEvent = fc
  .record({
    id: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    at: fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString()),
    occurred_at: fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString()),
    clock: fc.constantFrom('ok', 'ahead', 'late', 'unset'),
    version: fc.integer({ min: 1, max: 9 }),
    error_code: fc.option(fc.constantFrom('upgrade_hook_failed', 'service_unhealthy')),
    category: fc.constantFrom(
      ...['upgrade', 'service', 'agent', 'connection', 'release', 'audit', 'alert', 'new_one'],
    ),
    type: fc.constantFrom(
      ...['upgrade_completed', 'upgrade_rolled_back', 'service_started', 'alert_raised'],
      ...['alert_resolved', 'audit.checkpoint', 'never_heard_of', 'node_disconnected'],
    ),
    severity: fc.constantFrom(...EVENT_SEVERITIES),
    node_id: fc.option(hostileText),
    group_id: hostileText,
    rollout_id: fc.option(hostileText),
    command_id: fc.option(hostileText),
    service: fc.option(hostileText),
    message: hostileText,
    details: fc.dictionary(hostileText, fc.oneof(hostileText, fc.integer(), fc.constant(null))),
  })
  .map((event): FleetEvent => event);

const checkAll = (check: (event: FleetEvent) => void): void =>
  fc.assert(
    fc.property(anyEvent, (event) => check(event)),
    { numRuns: 300 },
  );

describe('every form', () => {
  it.each(EVENT_FORMATS)('%s is one line without control characters', (format) => {
    checkAll((event) => {
      expect(toLine(format, event, ORIGIN)).not.toMatch(
        // A tab separates the fields of LEEF.
        format === 'leef' ? /[^\P{Cc}\t]|[\u2028\u2029]/u : /\p{Cc}|[\u2028\u2029]/u,
      );
      expect(toLine(format, event, ORIGIN).isWellFormed()).toBe(true);
    });
  });

  it.each(EVENT_FORMATS)('%s is a function of its event alone', (format) => {
    checkAll((event) => {
      expect(toLine(format, { ...event }, ORIGIN)).toBe(toLine(format, event, ORIGIN));
    });
  });
});

describe('JSON', () => {
  it('is the event as the HTTP interface gives it', () => {
    checkAll((event) => {
      const read = JSON.parse(toLine('json', event, ORIGIN)) as FleetEvent;
      expect(read.message).toBe(event.message.toWellFormed());
      expect(Object.keys(read)).toEqual(Object.keys(anEvent()));
      expect(read.id).toBe(event.id);
    });
  });
});

/**
 * The fields that are used, with what the Elastic Common Schema 8.17 says of them: its field reference, and
 * "ECS Categorization Fields" for the values that are allowed and the types that each category expects.
 */
const ECS_KINDS = ['alert', 'asset', 'enrichment', 'event', 'metric', 'state', 'signal'];
const ECS_TYPES_OF: Readonly<Record<string, readonly string[]>> = {
  configuration: ['access', 'change', 'creation', 'deletion', 'info'],
  host: ['access', 'change', 'end', 'info', 'start'],
  network: ['access', 'allowed', 'connection', 'denied', 'end', 'info', 'protocol', 'start'],
  package: ['access', 'change', 'deletion', 'info', 'installation', 'start'],
  process: ['access', 'change', 'end', 'info', 'start'],
};
const ECS_TOP = [
  ...['@timestamp', 'ecs', 'message', 'log', 'event', 'observer', 'host', 'service', 'package'],
  // A field set of our own: "custom fields" asks for a name that ECS will not take.
  ...['error', 'bellwether'],
];

describe('ECS', () => {
  it('has fields and values that the schema knows', () => {
    checkAll((event) => {
      const ecs = JSON.parse(toLine('ecs', event, ORIGIN)) as Record<string, never>;
      expect(Object.keys(ecs).filter((key) => !ECS_TOP.includes(key))).toEqual([]);
      expect(Date.parse(ecs['@timestamp']!)).toBe(Date.parse(event.at));
      const told = ecs['event'] as unknown as Record<string, string & string[]>;
      expect(ECS_KINDS).toContain(told['kind']);
      expect(['failure', 'success', 'unknown']).toContain(told['outcome']);
      for (const category of told['category']!) {
        expect(Object.keys(ECS_TYPES_OF)).toContain(category);
        for (const type of told['type']!) expect(ECS_TYPES_OF[category]).toContain(type);
      }
      // Keywords are texts, sequence and severity are whole numbers.
      expect(Number.isInteger(told['sequence'])).toBe(true);
      expect(Number.isInteger(told['severity'])).toBe(true);
      for (const name of ['id', 'action', 'code', 'dataset', 'module', 'provider', 'created']) {
        expect(typeof told[name]).toBe('string');
      }
    });
  });

  it('tells a failure with its code', () => {
    const event = anEvent({
      type: 'upgrade_failed',
      error_code: 'upgrade_hook_failed',
      details: {},
    });
    expect(toObject('ecs', event, ORIGIN)).toMatchObject({
      event: { outcome: 'failure', category: ['package'] },
      error: { code: 'upgrade_hook_failed' },
      host: { id: 'nod_one000' },
      package: { name: 'edge' },
    });
  });
});

/**
 * Requirements and numbers of OCSF 1.5, from its schema: base_event, application_lifecycle, detection_finding,
 * and the objects metadata, product, device, finding_info.
 */
const OCSF_ACTIVITIES: Readonly<Record<number, readonly number[]>> = {
  0: [0, 99],
  2004: [0, 1, 2, 3, 99],
  6002: [0, 1, 2, 3, 4, 5, 6, 7, 8, 99],
};
const OCSF_REQUIRED: Readonly<Record<number, readonly string[]>> = {
  0: [],
  2004: ['finding_info'],
  6002: ['app'],
};
const OCSF_STATUS: Readonly<Record<number, readonly number[]>> = {
  0: [0, 1, 2, 99],
  2004: [0, 1, 2, 3, 4, 5, 6, 99],
  6002: [0, 1, 2, 99],
};
const OCSF_BASE = [
  'activity_id',
  'category_uid',
  'class_uid',
  'metadata',
  'severity_id',
  'time',
  'type_uid',
];

describe('OCSF', () => {
  it('has what its class asks for', () => {
    checkAll((event) => {
      const ocsf = JSON.parse(toLine('ocsf', event, ORIGIN)) as Record<string, never>;
      const number = (name: string): number => ocsf[name]!;
      const classUid = number('class_uid');
      expect(Object.keys(OCSF_REQUIRED)).toContain(String(classUid));
      for (const name of [...OCSF_BASE, ...OCSF_REQUIRED[classUid]!])
        expect(ocsf).toHaveProperty(name);
      expect(number('category_uid')).toBe(Math.floor(classUid / 1000));
      expect(OCSF_ACTIVITIES[classUid]).toContain(number('activity_id'));
      expect(number('type_uid')).toBe(classUid * 100 + number('activity_id'));
      expect([0, 1, 2, 3, 4, 5, 6, 99]).toContain(number('severity_id'));
      expect(OCSF_STATUS[classUid]).toContain(number('status_id'));
      expect(number('time')).toBe(Date.parse(event.at));
      if (number('activity_id') === 99) expect(typeof ocsf['activity_name']).toBe('string');
      const { version, product, profiles } = ocsf['metadata'] as unknown as {
        version: string;
        product: object;
        profiles?: string[];
      };
      expect(version).toBe('1.5.0');
      expect(product).toMatchObject({ name: 'Bellwether', vendor_name: 'Bellwether' });
      // `device` belongs to the profile host, which has to be named.
      expect(profiles ?? []).toEqual('device' in ocsf ? ['host'] : []);
      if ('device' in ocsf) expect(Object.keys(ocsf['device']).sort()).toEqual(['type_id', 'uid']);
      if (classUid === 2004) expect(ocsf['finding_info']).toHaveProperty('title');
    });
  });

  it('is an update of an application when an upgrade is complete, and a finding when an alert is raised', () => {
    expect(toObject('ocsf', anEvent(), ORIGIN)).toMatchObject({
      type_uid: 600_208,
      status_id: 1,
      app: { name: 'edge', version: '1.1.0' },
    });
    const alert = anEvent({
      category: 'alert',
      type: 'alert_raised',
      details: { alert_id: 'alr_1' },
    });
    expect(toObject('ocsf', alert, ORIGIN)).toMatchObject({
      type_uid: 200_401,
      is_alert: true,
      finding_info: { uid: 'alr_1' },
    });
  });
});

describe('CloudEvents', () => {
  it('are taken by the reference library, in strict mode', () => {
    checkAll((event) => {
      // An empty subject is refused by the specification, and by no id that the manager makes.
      const told = { ...event, node_id: 'nod_one000' };
      const read = JSON.parse(toLine('cloudevents', told, ORIGIN)) as Record<string, unknown>;
      expect(new CloudEvent(read, true).validate()).toBe(true);
      for (const name of Object.keys(read)) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
    });
  });

  it('have a sequence that sorts as a text', () => {
    const sequenceOf = (id: number): string =>
      toObject('cloudevents', anEvent({ id }), ORIGIN)['sequence'] as string;
    expect([10, 9, 100].map(sequenceOf).sort()).toEqual([9, 10, 100].map(sequenceOf));
  });
});

/** CEF as ArcSight's "Implementing ArcSight Common Event Format" (version 25) tells it; refuses the rest. */
function readCef(line: string): { header: string[]; extension: Map<string, string> } {
  const header: string[] = [];
  let at = 0;
  while (header.length < 7) {
    let field = '';
    for (; line[at] !== '|'; at += 1) {
      if (at >= line.length) throw new Error('the header ends too early');
      if (line[at] === '\\') {
        at += 1;
        if (line[at] !== '\\' && line[at] !== '|') throw new Error('bad escape');
      }
      field += line.charAt(at);
    }
    header.push(field);
    at += 1;
  }
  const extension = new Map<string, string>();
  const rest = line.slice(at);
  // A key is a word before an `=` that is not escaped, at the begin or behind a space.
  const keys = [...rest.matchAll(/(?:^| )([A-Za-z0-9]+)=/g)].filter(({ index, 0: all }) => {
    const before = rest.slice(0, index + all.length - 1);
    return (/\\*$/.exec(before)?.[0].length ?? 0) % 2 === 0;
  });
  keys.forEach((key, index) => {
    const from = key.index + key[0].length;
    const raw = rest.slice(from, keys[index + 1]?.index);
    if (/(^|[^\\])(\\\\)*=/.test(raw)) throw new Error(`an unescaped = in ${key[1]}`);
    const value = raw.replace(/\\([\s\S]?)/g, (_, next: string) => {
      const meant = { '\\': '\\', '=': '=', n: '\n', r: '\r' }[next];
      if (meant === undefined) throw new Error(`bad escape in ${key[1]}`);
      return meant;
    });
    if (extension.has(key[1]!)) throw new Error(`${key[1]} twice`);
    extension.set(key[1]!, value);
  });
  return { header, extension };
}

/** What text becomes where a form has no escape for a character; line ends stay. */
const shown = (text: string): string =>
  text
    .split(/([\r\n])/)
    .map((part) => (/[\r\n]/.test(part) ? part : visible(part)))
    .join('');

describe('CEF', () => {
  it('comes back from a strict reader as it was, whatever is in it', () => {
    checkAll((event) => {
      const { header, extension } = readCef(toLine('cef', event, ORIGIN));
      expect(header).toEqual([
        ...['CEF:0', 'Bellwether', 'Bellwether', '0.1.0'],
        event.type,
        visible(event.message),
        String({ info: 3, warning: 6, critical: 9 }[event.severity]),
      ]);
      expect(extension.get('externalId')).toBe(String(event.id));
      expect(extension.get('msg')).toBe(shown(event.message));
      expect(extension.get('cs2')).toBe(shown(event.group_id));
      expect(extension.get('cs1') ?? null).toBe(
        event.node_id === null ? null : shown(event.node_id),
      );
      expect(extension.get('rt')).toBe(String(Date.parse(event.at)));
    });
  });
});

/** LEEF 2.0 with a tab as its delimiter, as QRadar's "LEEF event components" tells it. */
function readLeef(line: string): { header: string[]; attributes: Map<string, string> } {
  const match = /^(LEEF:2\.0)((?:\|(?:[^|\\]|\\[|\\])*){5})\|(.*)$/su.exec(line);
  if (match === null) throw new Error('no header');
  const header = [...match[2]!.matchAll(/\|((?:[^|\\]|\\[|\\])*)/gu)].map(([, field]) =>
    field!.replace(/\\([|\\])/g, '$1'),
  );
  const attributes = new Map<string, string>();
  for (const pair of match[3]!.split('\t')) {
    const at = pair.indexOf('=');
    const key = pair.slice(0, at);
    if (!/^[A-Za-z]\w*$/.test(key) || attributes.has(key)) throw new Error(`bad key ${key}`);
    attributes.set(
      key,
      pair.slice(at + 1).replace(/\\([\s\S]?)/g, (_, next: string) => {
        const meant = { '\\': '\\', t: '\t', n: '\n', r: '\r' }[next];
        if (meant === undefined) throw new Error(`bad escape in ${key}`);
        return meant;
      }),
    );
  }
  return { header, attributes };
}

describe('LEEF', () => {
  it('comes back from a strict reader as it was, whatever is in it', () => {
    const tabsStay = (text: string): string => text.split('\t').map(shown).join('\t');
    checkAll((event) => {
      const { header, attributes } = readLeef(toLine('leef', event, ORIGIN));
      expect(header).toEqual(['Bellwether', 'Bellwether', '0.1.0', event.type, 'x09']);
      expect(attributes.get('msg')).toBe(tabsStay(event.message));
      expect(attributes.get('eventNumber')).toBe(String(event.id));
      expect(attributes.get('service') ?? null).toBe(
        event.service === null ? null : tabsStay(event.service),
      );
    });
  });
});

/** RFC 5424, section 6: the grammar of one message. */
const SYSLOG =
  /^<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) (\[[!-~ ]*?\]) ([^]*)$/;

describe('syslog', () => {
  it.each(EVENT_FORMATS)('is a message of RFC 5424 around %s', (format) => {
    checkAll((event) => {
      const line = toLine(format, event, ORIGIN);
      const message = toSyslog(event, line, { origin: ORIGIN, facility: 'local0' });
      const [, priority, at, host, app, , , structured, text] = SYSLOG.exec(message) ?? [];
      expect(Number(priority)).toBe(16 * 8 + { info: 6, warning: 4, critical: 2 }[event.severity]);
      expect([at, host, app, text]).toEqual([event.at, 'bellwether.example', 'bellwether', line]);
      const sequence = Number(/^\[meta sequenceId="(\d+)"\]$/.exec(structured ?? '')?.[1]);
      expect(sequence).toBeGreaterThanOrEqual(1);
      expect(sequence).toBeLessThanOrEqual(2_147_483_647);
    });
  });

  it('counts octets and not characters', () => {
    const frame = Buffer.from(octetCounted('<1>1 - 🐑'));
    expect(frame.toString()).toBe(`${Buffer.byteLength('<1>1 - 🐑')} <1>1 - 🐑`);
  });
});
