import { readdir } from 'node:fs/promises';
import { memoryUsage, resourceUsage } from 'node:process';
import type { Meters } from './meters.js';

/** What the process uses now. */
export async function tellProcess(meters: Meters): Promise<void> {
  const { userCPUTime, systemCPUTime } = resourceUsage();
  meters.set('process_cpu_seconds_total', (userCPUTime + systemCPUTime) / 1e6);
  const { rss, heapUsed, heapTotal, external } = memoryUsage();
  meters.set('process_resident_memory_bytes', rss);
  meters.set('nodejs_heap_used_bytes', heapUsed);
  meters.set('nodejs_heap_total_bytes', heapTotal);
  meters.set('nodejs_external_memory_bytes', external);
  meters.set('process_start_time_seconds', performance.timeOrigin / 1_000);
  const { active } = performance.eventLoopUtilization();
  meters.set('bellwether_event_loop_active_seconds_total', active / 1_000);
  const files = await readdir('/proc/self/fd').catch(() => null);
  if (files !== null) meters.set('process_open_fds', files.length);
}
