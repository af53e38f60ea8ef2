import { detailOf, tellsFailure, type EventOrigin, type FleetEvent } from './event.js';
import { jsonLine } from './text.js';

/** The release of the Open Cybersecurity Schema Framework whose classes and numbers are used. */
export const OCSF_VERSION = '1.5.0';
const SEVERITY_ID = { info: 1, warning: 3, critical: 5 } as const;
const SEVERITY_NAME = { info: 'Informational', warning: 'Medium', critical: 'Critical' } as const;
const OTHER = 99;

interface OcsfClass {
  readonly category_uid: number;
  readonly category_name: string;
  readonly class_uid: number;
  readonly class_name: string;
}
const LIFECYCLE: OcsfClass = {
  category_uid: 6,
  category_name: 'Application Activity',
  class_uid: 6002,
  class_name: 'Application Lifecycle',
};
const FINDING: OcsfClass = {
  category_uid: 2,
  category_name: 'Findings',
  class_uid: 2004,
  class_name: 'Detection Finding',
};
const BASE: OcsfClass = {
  category_uid: 0,
  category_name: 'Uncategorized',
  class_uid: 0,
  class_name: 'Base Event',
};

type Activity = readonly [id: number, name: string];
/** Numbers of the class Application Lifecycle. */
const LIFECYCLE_ACTIVITY: Readonly<Record<string, Activity>> = {
  upgrade_completed: [8, 'Update'],
  upgrade_swapping: [8, 'Update'],
  service_started: [3, 'Start'],
  service_stopped: [4, 'Stop'],
  service_restarted: [5, 'Restart'],
  service_enabled: [6, 'Enable'],
  service_disabled: [7, 'Disable'],
  node_enrolled: [1, 'Install'],
  node_revoked: [2, 'Remove'],
};
const FINDING_ACTIVITY: Readonly<Record<string, Activity>> = {
  alert_raised: [1, 'Create'],
  alert_resolved: [3, 'Close'],
};
const STATUS_OF_FINDING: Readonly<Record<string, readonly [number, string]>> = {
  alert_raised: [1, 'New'],
  alert_resolved: [4, 'Resolved'],
};

const classOf = ({ category }: FleetEvent): OcsfClass => {
  if (category === 'alert') return FINDING;
  return category === 'upgrade' || category === 'service' || category === 'agent'
    ? LIFECYCLE
    : BASE;
};

function activityOf(event: FleetEvent, { class_uid }: OcsfClass): Activity {
  const known = class_uid === FINDING.class_uid ? FINDING_ACTIVITY : LIFECYCLE_ACTIVITY;
  const found = class_uid === BASE.class_uid ? undefined : known[event.type];
  // 99 asks for the name that the source has for it.
  return found ?? [OTHER, event.type];
}

function statusOf(event: FleetEvent): readonly [number, string] {
  if (event.category === 'alert') return STATUS_OF_FINDING[event.type] ?? [0, 'Unknown'];
  if (tellsFailure(event)) return [2, 'Failure'];
  return event.type.endsWith('_completed') ? [1, 'Success'] : [0, 'Unknown'];
}

/** What the class asks for beyond the base event. */
function ownFields(event: FleetEvent, { class_uid }: OcsfClass): Readonly<Record<string, unknown>> {
  const time = Date.parse(event.at);
  if (class_uid === LIFECYCLE.class_uid) {
    const version = detailOf(event, 'version');
    const name = event.service ?? detailOf(event, 'product') ?? 'bellwether-agent';
    return { app: { name, ...(version === null ? {} : { version }) } };
  }
  if (class_uid !== FINDING.class_uid) return {};
  return {
    is_alert: event.type === 'alert_raised',
    finding_info: {
      uid: detailOf(event, 'alert_id') ?? String(event.id),
      title: event.message,
      types: [detailOf(event, 'rule') ?? 'alert'],
      created_time: time,
    },
  };
}

/**
 * The event in OCSF: Application Lifecycle for upgrades, services and agents, Detection Finding for
 * alerts, Base Event for the rest (connections are no network traffic that was watched, and entries
 * of the audit log no calls that were). What OCSF has no field for is in `unmapped`.
 */
export function toOcsf(event: FleetEvent, origin: EventOrigin): Readonly<Record<string, unknown>> {
  const ocsfClass = classOf(event);
  const [activityId, activityName] = activityOf(event, ocsfClass);
  const [statusId, statusName] = statusOf(event);
  const error = event.error_code;
  return {
    ...ocsfClass,
    activity_id: activityId,
    activity_name: activityName,
    type_uid: ocsfClass.class_uid * 100 + activityId,
    type_name: `${ocsfClass.class_name}: ${activityId === OTHER ? 'Other' : activityName}`,
    time: Date.parse(event.at),
    severity_id: SEVERITY_ID[event.severity],
    severity: SEVERITY_NAME[event.severity],
    status_id: statusId,
    status: statusName,
    ...(error === null ? {} : { status_code: error, status_detail: event.message }),
    message: event.message,
    metadata: {
      version: OCSF_VERSION,
      product: { name: 'Bellwether', vendor_name: 'Bellwether', version: origin.version },
      uid: String(event.id),
      sequence: event.id,
      event_code: event.type,
      log_name: 'bellwether.events',
      log_provider: origin.manager,
      original_time: event.at,
      ...(event.node_id === null ? {} : { profiles: ['host'] }),
    },
    ...(event.node_id === null ? {} : { device: { uid: event.node_id, type_id: 0 } }),
    ...ownFields(event, ocsfClass),
    unmapped: {
      occurred_at: event.occurred_at,
      clock: event.clock,
      type_version: event.version,
      category: event.category,
      group_id: event.group_id,
      rollout_id: event.rollout_id,
      command_id: event.command_id,
      service: event.service,
      details: jsonLine(event.details),
    },
  };
}
