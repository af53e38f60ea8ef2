import { defineConfig } from 'vitest/config';

/** Runs inside of a machine of its own, with a systemd of its own: see `boot.mjs`. */
export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  cacheDir: '/srv/cache',
  test: {
    include: ['test/systemd/*.systemd.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    bail: 0,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['verbose'],
  },
});
