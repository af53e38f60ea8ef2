import type { EventOrigin, FleetEvent } from './event.js';
import { jsonLine, visible, visibleLines } from './text.js';

/** 1 to 10. */
const SEVERITY = { info: 3, warning: 6, critical: 9 } as const;
/** A tab, as the header writes it. No value holds one: it is escaped. */
const DELIMITER = '\t';
const DELIMITER_NAME = 'x09';

const header = (text: string): string => visible(text).replace(/[\\|]/g, '\\$&');
/** `\\`, `\t`, `\n` and `\r`: LEEF has no escapes of its own, and a raw tab would begin another field. */
const value = (text: string): string =>
  text
    .split('\t')
    .map((part) =>
      visibleLines(part).replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r'),
    )
    .join('\\t');

/** The event as one line of the Log Event Extended Format 2.0 of QRadar. */
export function toLeef(event: FleetEvent, origin: EventOrigin): string {
  const head = ['LEEF:2.0', 'Bellwether', 'Bellwether', origin.version, event.type, DELIMITER_NAME]
    .map((text, index) => (index < 3 ? text : header(text)))
    .join('|');
  const pairs: (readonly [string, string | null])[] = [
    ['devTime', event.at],
    ['devTimeFormat', "yyyy-MM-dd'T'HH:mm:ss.SSSX"],
    ['occurredAt', event.occurred_at],
    ['clock', event.clock],
    ['typeVersion', String(event.version)],
    ['sev', String(SEVERITY[event.severity])],
    ['cat', event.category],
    ['identHostName', event.node_id],
    ['eventNumber', String(event.id)],
    ['severity', event.severity],
    ['nodeId', event.node_id],
    ['groupId', event.group_id],
    ['rolloutId', event.rollout_id],
    ['commandId', event.command_id],
    ['service', event.service],
    ['errorCode', event.error_code],
    ['manager', origin.manager],
    ['details', jsonLine(event.details)],
    ['msg', event.message],
  ];
  const attributes = pairs
    .filter((pair): pair is readonly [string, string] => pair[1] !== null)
    .map(([key, text]) => `${key}=${value(text)}`);
  return `${head}|${attributes.join(DELIMITER)}`;
}
