import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/**
 * The specs of the agent on the runtime that is shipped (`npm run test:agent`). That runtime puts a
 * WebSocket of its own in the place of `ws` where it is imported by name; what is shipped has the
 * real one in its bundle, and so do these.
 */
export default defineConfig({
  resolve: {
    alias: { ws: fileURLToPath(new URL('../../node_modules/ws/wrapper.mjs', import.meta.url)) },
  },
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['src/agent/**/*.spec.ts'],
    // The processes of vitest's usual pool speak in a way that only Node understands.
    pool: 'threads',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
