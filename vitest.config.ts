import { defineConfig } from 'vitest/config';
import LongOnesEarly from './test/support/run/long-ones-early.js';

export default defineConfig({
  // Decorators of Nest, with the types that its injection reads.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['src/**/*.spec.ts', 'test/**/*.spec.ts'],
    exclude: ['node_modules/**', 'dist/**', 'src/console/**'],
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 60_000,
    // What is waited for comes some time; how soon is nothing that a busy machine could promise.
    expect: { poll: { timeout: 15_000 } },
    hookTimeout: 120_000,
    sequence: { sequencer: LongOnesEarly },
    globalSetup: [
      'test/support/run/folder.ts',
      'test/support/postgres.ts',
      'test/support/redis.ts',
    ],
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
