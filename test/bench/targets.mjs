// Every row that the bench is held to. `ratio`: ours to the baseline beside it; `value`: ours alone. `most` and
// `least` say which way is good. A row that no bench gave is told as such.

/** @type {readonly {row: string, what: string, by: 'ratio' | 'value', most?: number, least?: number}[]} */
export const TARGETS = [
  { row: 'memory', what: 'memory of a connected, authenticated node', by: 'ratio', most: 1.2 },
  { row: 'memory_tls', what: 'the same over TLS', by: 'ratio', most: 1.1 },
  {
    row: 'push',
    what: 'push of `upgrade_binary`, durable before it is sent: the last node has it',
    by: 'ratio',
    most: 1.25,
  },
  {
    row: 'events',
    what: 'events of nodes, durable and acknowledged, a second',
    by: 'ratio',
    least: 0.6,
  },
  { row: 'events_full', what: 'the same in a long log, to an empty one', by: 'ratio', least: 0.8 },
  { row: 'health_cpu', what: 'CPU of a health beat', by: 'ratio', most: 1.5 },
  { row: 'event_cpu', what: 'CPU of an event, up to its acknowledgement', by: 'ratio', most: 1.5 },
  {
    row: 'round',
    what: 'a whole round, settle times zero, to a bare fan-out',
    by: 'ratio',
    most: 8,
  },
  { row: 'gap', what: 'longest gap of a 10 ms timer under a flood (ms)', by: 'value', most: 50 },
  { row: 'back_cpu', what: 'CPU of taking all nodes back after a kill', by: 'ratio', most: 1.3 },
  { row: 'harmed', what: 'nodes that failed because the manager was killed', by: 'value', most: 0 },
  {
    row: 'pause',
    what: 'Pause pressed: until no node swaps any more (ms)',
    by: 'value',
    most: 10_000,
  },
  {
    row: 'events_page',
    what: 'the last 50 events of a group in a long log',
    by: 'ratio',
    most: 1.5,
  },
  { row: 'events_page_http', what: 'the same over HTTP, p99 (ms)', by: 'value', most: 5 },
  { row: 'node_list', what: 'node list, filtered, 100 000 nodes, p99 (ms)', by: 'value', most: 20 },
  {
    row: 'wave_start',
    what: 'start of a due wave, p99, to a bare BullMQ job',
    by: 'ratio',
    most: 1.5,
  },
  {
    row: 'artifact',
    what: 'artifact to many readers, a second, to nginx',
    by: 'ratio',
    least: 0.6,
  },
  {
    row: 'upload',
    what: 'upload with hash and fsync, a second, to one without hash',
    by: 'ratio',
    least: 0.8,
  },
  { row: 'delta', what: 'delta in place of the whole', by: 'ratio', most: 0.15 },
  { row: 'agent_rss', what: 'agent at rest (MB)', by: 'value', most: 30 },
  {
    row: 'agent_start',
    what: 'agent: start to the first connection attempt (ms)',
    by: 'value',
    most: 50,
  },
  { row: 'agent_cpu', what: 'agent: CPU of an hour (s)', by: 'value', most: 5 },
  { row: 'agent_apply', what: 'agent while it applies 200 MB (MB)', by: 'value', most: 100 },
  {
    row: 'many_memory',
    what: 'several managers: memory of a connected node',
    by: 'ratio',
    most: 1.2,
  },
  {
    row: 'many_push',
    what: 'several managers: push of `upgrade_binary`: the last node has it',
    by: 'ratio',
    most: 1.25,
  },
  {
    row: 'many_down',
    what: 'several managers: nodes down at once while one is killed in the wave, to the limit',
    by: 'ratio',
    most: 1,
  },
  {
    row: 'many_harmed',
    what: 'several managers: nodes that failed because one was killed',
    by: 'value',
    most: 0,
  },
  { row: 'simulator', what: 'simulated rollouts a minute', by: 'value', least: 1_000 },
];

/** Whether a row is met; null where it was not measured. */
export function isMet(target, figures) {
  if (figures === undefined) return null;
  const value = target.by === 'ratio' ? figures.ratio : figures.measured;
  return target.most === undefined ? value >= target.least : value <= target.most;
}

export const limitOf = ({ by, most, least }) =>
  `${most === undefined ? '≥' : '≤'} ${most ?? least}${by === 'ratio' ? ' ×' : ''}`;
