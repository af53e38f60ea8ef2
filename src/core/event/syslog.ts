import type { EventOrigin, EventSeverity, FleetEvent } from './event.js';

/** RFC 5424, table 2. */
const SEVERITY: Readonly<Record<EventSeverity, number>> = { info: 6, warning: 4, critical: 2 };
/** RFC 5424, table 1: those that programs may take. */
export const SYSLOG_FACILITIES = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  audit: 13,
  alert: 14,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const;
export type SyslogFacility = keyof typeof SYSLOG_FACILITIES;

/** RFC 5424, 6.2: printable US-ASCII without spaces, so long at most; else `-`. */
const HOSTNAME_MAX = 255;
const MSGID_MAX = 32;
/** RFC 5424, 7.3.1: the number begins anew after this. */
const SEQUENCE_MAX = 2_147_483_647;

const word = (text: string, max: number): string => {
  const kept = text.replace(/[^\x21-\x7e]/g, '').slice(0, max);
  return kept === '' ? '-' : kept;
};
/** RFC 5424, 6.3.3: `"`, `\` and `]` are escaped. */
const parameter = (text: string): string => text.replace(/["\\\]]/g, '\\$&');

/**
 * One message of RFC 5424. `line` is the event in one of the formats and holds no control characters;
 * its number also stands in the structured data, so that a receiver can order and count without
 * reading the message. No byte order mark: what follows would no longer begin with `{` or `CEF:`.
 */
export function toSyslog(
  event: FleetEvent,
  line: string,
  { origin, facility }: { readonly origin: EventOrigin; readonly facility: SyslogFacility },
): string {
  const priority = SYSLOG_FACILITIES[facility] * 8 + SEVERITY[event.severity];
  const hostname = word(new URL(origin.manager).hostname.replace(/[[\]]/g, ''), HOSTNAME_MAX);
  const sequence = ((event.id - 1) % SEQUENCE_MAX) + 1;
  const meta = `[meta sequenceId="${parameter(String(Math.max(1, sequence)))}"]`;
  return `<${priority}>1 ${event.at} ${hostname} bellwether - ${word(event.type, MSGID_MAX)} ${meta} ${line}`;
}

/** RFC 6587, 3.4.1 and RFC 5425, 4.3: the length in octets before each message. */
export function octetCounted(message: string): Uint8Array {
  const bytes = new TextEncoder().encode(message);
  const head = new TextEncoder().encode(`${bytes.length} `);
  const frame = new Uint8Array(head.length + bytes.length);
  frame.set(head);
  frame.set(bytes, head.length);
  return frame;
}
