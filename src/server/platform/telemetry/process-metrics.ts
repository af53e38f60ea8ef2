/** How busy the process is, and what every program tells of itself under the names that it has everywhere; part of `METRICS`, which checks their shape. */
export const PROCESS_METRICS = {
  bellwether_load_step: {
    type: 'gauge',
    help: '0 calm, 1 busy, 2 strained: what the manager leaves for later because of load',
  },
  bellwether_database_delay_seconds: {
    type: 'gauge',
    help: 'How long the transaction has waited that waits longest for its turn',
  },
  bellwether_event_loop_active_seconds_total: {
    type: 'counter',
    help: 'How long the event loop worked, and did not wait',
  },
  process_cpu_seconds_total: { type: 'counter', help: 'CPU time, user and system' },
  process_resident_memory_bytes: { type: 'gauge', help: 'Memory that is resident' },
  process_start_time_seconds: {
    type: 'gauge',
    help: 'When the process started, in seconds since 1970',
  },
  process_open_fds: { type: 'gauge', help: 'Open files and sockets; Linux only' },
  nodejs_heap_used_bytes: { type: 'gauge', help: 'Heap of JavaScript in use' },
  nodejs_heap_total_bytes: { type: 'gauge', help: 'Heap of JavaScript in all' },
  nodejs_external_memory_bytes: { type: 'gauge', help: 'Memory outside of that heap' },
} as const;
