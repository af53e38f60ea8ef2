import { defineConfig } from 'vitest/config';

/** Measures, and asserts nothing: noise must not make a test fail. */
export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['test/bench/**/*.bench.ts'],
    globalSetup: ['test/support/postgres.ts', 'test/support/redis.ts'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    maxWorkers: 1,
    fileParallelism: false,
    disableConsoleIntercept: true,
    reporters: [['default', { summary: false }]],
  },
});
