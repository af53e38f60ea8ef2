import { defineConfig } from 'vitest/config';

/** The soak alone: it has stores of its own. */
export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['test/chaos/**/*.stage.ts'],
    pool: 'forks',
    maxWorkers: 1,
    disableConsoleIntercept: true,
    reporters: [['default', { summary: false }]],
  },
});
