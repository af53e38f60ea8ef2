import { toCef } from './cef.js';
import { toCloudEvent } from './cloudevents.js';
import { toEcs } from './ecs.js';
import type { EventOrigin, FleetEvent } from './event.js';
import { toJson } from './json.js';
import { toLeef } from './leef.js';
import { toOcsf } from './ocsf.js';
import { jsonLine } from './text.js';

export const EVENT_FORMATS = ['json', 'ecs', 'ocsf', 'cef', 'leef', 'cloudevents'] as const;
export type EventFormat = (typeof EVENT_FORMATS)[number];

/** Formats whose events are JSON objects; the others are lines of text. */
export const OBJECT_FORMATS = ['json', 'ecs', 'ocsf', 'cloudevents'] as const;
export type ObjectFormat = (typeof OBJECT_FORMATS)[number];

const OBJECT_OF: Readonly<
  Record<
    ObjectFormat,
    (event: FleetEvent, origin: EventOrigin) => Readonly<Record<string, unknown>>
  >
> = { json: toJson, ecs: toEcs, ocsf: toOcsf, cloudevents: toCloudEvent };

export const toObject = (
  format: ObjectFormat,
  event: FleetEvent,
  origin: EventOrigin,
): Readonly<Record<string, unknown>> => OBJECT_OF[format](event, origin);

/** The event as one line: no line end, no control character, whatever is in it. */
export function toLine(format: EventFormat, event: FleetEvent, origin: EventOrigin): string {
  if (format === 'cef') return toCef(event, origin);
  if (format === 'leef') return toLeef(event, origin);
  return jsonLine(toObject(format, event, origin));
}
