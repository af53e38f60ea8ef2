import { tellsFailure, type EventOrigin, type FleetEvent } from './event.js';
import { cut, jsonLine, visible, visibleLines } from './text.js';

/** 0 to 10; 9 is "very high". */
const SEVERITY = { info: 3, warning: 6, critical: 9 } as const;
/** Lengths of the dictionary of the ArcSight Common Event Format, version 25. */
const NAME_MAX = 512;
const MESSAGE_MAX = 1_023;
const ACTION_MAX = 63;
const CUSTOM_MAX = 4_000;

/** In the header `\` and `|` are escaped, and there is no way to write a line end. */
const header = (text: string): string => visible(text).replace(/[\\|]/g, '\\$&');
/** In a value `\` and `=` are, and line ends are written as `\n` and `\r`. */
const value = (text: string): string =>
  visibleLines(text).replace(/[\\=]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r');

/** The event as one line of the ArcSight Common Event Format (CEF:0). */
export function toCef(event: FleetEvent, origin: EventOrigin): string {
  const head = [
    'CEF:0',
    'Bellwether',
    'Bellwether',
    header(origin.version),
    header(cut(event.type, NAME_MAX)),
    header(cut(event.message, NAME_MAX)),
    SEVERITY[event.severity],
  ].join('|');
  const pairs: (readonly [string, string | null])[] = [
    ['rt', String(Date.parse(event.at))],
    ['deviceCustomDate1Label', 'occurred'],
    ['deviceCustomDate1', String(Date.parse(event.occurred_at))],
    ['externalId', String(event.id)],
    ['cat', event.category],
    ['act', cut(event.type, ACTION_MAX)],
    ['outcome', tellsFailure(event) ? 'failure' : null],
    ['reason', event.error_code],
    ['dvchost', new URL(origin.manager).hostname],
    ['destinationServiceName', event.service],
    ...custom(1, 'node', event.node_id),
    ...custom(2, 'group', event.group_id),
    ...custom(3, 'rollout', event.rollout_id),
    ...custom(4, 'command', event.command_id),
    ...custom(5, 'details', cut(jsonLine(event.details), CUSTOM_MAX)),
    ...custom(6, 'clock', event.clock),
    ['cn1Label', 'type version'],
    ['cn1', String(event.version)],
    ['msg', cut(event.message, MESSAGE_MAX)],
  ];
  const extension = pairs
    .filter((pair): pair is readonly [string, string] => pair[1] !== null)
    .map(([key, text]) => `${key}=${value(text)}`);
  return `${head}|${extension.join(' ')}`;
}

const custom = (
  number: number,
  label: string,
  text: string | null,
): (readonly [string, string | null])[] =>
  text === null
    ? []
    : [
        [`cs${number}Label`, label],
        [`cs${number}`, text],
      ];
