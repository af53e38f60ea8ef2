// Loaded before a manager (`node --expose-gc --import`): at SIGUSR2 it collects garbage and writes what the process holds.
import { readdirSync, renameSync, writeFileSync } from 'node:fs';

const file = process.env.CHAOS_PROBE_FILE;

process.on('SIGUSR2', () => {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const sample = {
    rss_bytes: rss,
    heap_bytes: heapUsed,
    external_bytes: external,
    handles: process.getActiveResourcesInfo().length,
    fds: readdirSync('/proc/self/fd').length,
  };
  writeFileSync(`${file}.new`, JSON.stringify(sample));
  renameSync(`${file}.new`, file);
});
