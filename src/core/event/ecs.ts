import { detailOf, tellsFailure, type EventOrigin, type FleetEvent } from './event.js';
import { jsonLine } from './text.js';

/** The release of the Elastic Common Schema whose fields and values are used. */
export const ECS_VERSION = '8.17.0';
/** `event.severity` is a number of the source; larger is worse. That of syslog, turned around. */
const SEVERITY = { info: 1, warning: 4, critical: 7 } as const;
const LEVEL = { info: 'info', warning: 'warning', critical: 'critical' } as const;

interface Kind {
  readonly category: readonly string[];
  readonly type: readonly string[];
}

/** ECS takes only pairs of category and type that it lists as expected. */
const KIND_OF_CATEGORY: Readonly<Record<string, Kind>> = {
  upgrade: { category: ['package'], type: ['change'] },
  release: { category: ['package'], type: ['info'] },
  service: { category: ['process'], type: ['info'] },
  agent: { category: ['host'], type: ['change'] },
  connection: { category: ['network'], type: ['connection'] },
  audit: { category: ['configuration'], type: ['info'] },
  security: { category: ['authentication'], type: ['info'] },
};
const KIND_OF_TYPE: Readonly<Record<string, Kind>> = {
  upgrade_completed: { category: ['package'], type: ['installation'] },
  node_connected: { category: ['network'], type: ['connection', 'start'] },
  node_disconnected: { category: ['network'], type: ['connection', 'end'] },
};
const ANY: Kind = { category: ['host'], type: ['info'] };

const kindOf = (event: FleetEvent): Kind =>
  KIND_OF_TYPE[event.type] ?? KIND_OF_CATEGORY[event.category] ?? ANY;

const outcomeOf = (event: FleetEvent): string => {
  if (tellsFailure(event)) return 'failure';
  return event.type.endsWith('_completed') ? 'success' : 'unknown';
};

/** The event in the Elastic Common Schema; what ECS has no field for is under `bellwether`. */
export function toEcs(event: FleetEvent, origin: EventOrigin): Readonly<Record<string, unknown>> {
  const error = event.error_code;
  const version = detailOf(event, 'version');
  const product = detailOf(event, 'product') ?? event.service;
  return {
    '@timestamp': event.at,
    ecs: { version: ECS_VERSION },
    message: event.message,
    log: { level: LEVEL[event.severity] },
    event: {
      kind: event.category === 'alert' ? 'alert' : 'event',
      ...kindOf(event),
      id: String(event.id),
      sequence: event.id,
      action: event.type,
      code: event.type,
      outcome: outcomeOf(event),
      severity: SEVERITY[event.severity],
      dataset: 'bellwether.events',
      module: 'bellwether',
      provider: 'bellwether',
      created: event.at,
    },
    observer: {
      vendor: 'Bellwether',
      product: 'Bellwether',
      type: 'manager',
      version: origin.version,
    },
    ...(event.node_id === null ? {} : { host: { id: event.node_id } }),
    ...(event.service === null ? {} : { service: { name: event.service } }),
    ...(product === null
      ? {}
      : { package: { name: product, ...(version === null ? {} : { version }) } }),
    ...(error === null ? {} : { error: { code: error, message: event.message } }),
    bellwether: {
      manager: origin.manager,
      occurred_at: event.occurred_at,
      clock: event.clock,
      type_version: event.version,
      category: event.category,
      severity: event.severity,
      group_id: event.group_id,
      rollout_id: event.rollout_id,
      command_id: event.command_id,
      // One text: a mapping must not grow with every name that a detail ever had.
      details: jsonLine(event.details),
    },
  };
}
