import { defineConfig } from 'vitest/config';

/** What is started by hand: pictures, and a manager to look around in. */
export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/console/*.stage.ts'],
    pool: 'forks',
    testTimeout: 86_400_000,
    hookTimeout: 300_000,
    disableConsoleIntercept: true,
  },
});
