/** What is counted in each process, and added up over all. */
export const COUNTERS = [
  'opened',
  'welcomed',
  'lost',
  'refused',
  'messages_in',
  'messages_out',
  'events_made',
  'events_acked',
  'beats',
  'commands',
  'commands_again',
  'permits',
  'permits_denied',
  'swaps',
  'swaps_twice',
  'succeeded',
  'failed',
  'rolled_back',
  'withdrawn',
  'faults',
] as const;
export type Counter = (typeof COUNTERS)[number];

/** Moments by the clock of the machine, in ms since 1970; 0: never. The latest of all processes counts. */
export const MOMENTS = [
  'last_welcome_at',
  'last_command_at',
  'last_swap_at',
  'last_ack_at',
] as const;
export type Moment = (typeof MOMENTS)[number];

/** What a node is doing now; each node counts in exactly one of them. */
export const NODE_STATES = ['idle', 'waiting', 'connecting', 'connected'] as const;
export type NodeState = (typeof NODE_STATES)[number];

export type Numbers = Record<Counter | Moment, number>;

/** One process at one moment. */
export interface Report {
  readonly numbers: Numbers;
  readonly states: Readonly<Record<NodeState, number>>;
  /** Services by the phase of their update. */
  readonly phases: Readonly<Record<string, number>>;
  /** Connected nodes by what they run, as `product version`. */
  readonly versions: Readonly<Record<string, number>>;
  /** Why links were refused or lost. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Error codes that ended upgrades. */
  readonly errors: Readonly<Record<string, number>>;
  /** Nodes that were welcomed more than once; that had an upgrade end in each of these ways. */
  readonly nodes: Readonly<Record<NodeFact, number>>;
  /** Events that wait to be taken by the manager. */
  readonly backlog: number;
}
export const NODE_FACTS = ['came_back', 'upgraded', 'failed', 'rolled_back', 'refused'] as const;
export type NodeFact = (typeof NODE_FACTS)[number];

export const noNumbers = (): Numbers =>
  Object.fromEntries([...COUNTERS, ...MOMENTS].map((name) => [name, 0])) as Numbers;

const isMoment = (name: string): boolean => (MOMENTS as readonly string[]).includes(name);

function addInto(sum: Record<string, number>, part: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(part)) {
    sum[name] = isMoment(name) ? Math.max(sum[name] ?? 0, value) : (sum[name] ?? 0) + value;
  }
}

/** All processes together. */
export function sumOf(reports: Iterable<Report>): Report {
  const sum = {
    numbers: noNumbers(),
    states: { idle: 0, waiting: 0, connecting: 0, connected: 0 },
    phases: {} as Record<string, number>,
    versions: {} as Record<string, number>,
    reasons: {} as Record<string, number>,
    errors: {} as Record<string, number>,
    nodes: { came_back: 0, upgraded: 0, failed: 0, rolled_back: 0, refused: 0 },
    backlog: 0,
  };
  for (const report of reports) {
    addInto(sum.numbers, report.numbers);
    addInto(sum.states, report.states);
    addInto(sum.phases, report.phases);
    addInto(sum.versions, report.versions);
    addInto(sum.reasons, report.reasons);
    addInto(sum.errors, report.errors);
    addInto(sum.nodes, report.nodes);
    sum.backlog += report.backlog;
  }
  return sum;
}
