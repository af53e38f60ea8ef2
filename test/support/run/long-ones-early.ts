import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take a minute and more, whatever their size: they wait for processes that are killed and started.
 * By size alone, which is all that a fresh clone knows, some of them would begin last, with one worker at work and
 * the others done.
 */
const LONG = [
  'test/e2e/agent-commands.spec.ts',
  'test/e2e/agent-crash.spec.ts',
  'test/chaos/chaos.spec.ts',
  'test/e2e/operator-health.spec.ts',
  'test/e2e/several-managers.spec.ts',
  'test/sinks/kill.spec.ts',
  'test/e2e/restore.spec.ts',
  'test/e2e/manager-crash.spec.ts',
  'test/e2e/redis-faults.spec.ts',
  'test/e2e/sdk.spec.ts',
];
/** Of so many files one is a long one: they shall not all run side by side. */
const ONE_OF = 4;

/** Those that take long begin early, spread among the others, which keep their order. */
export default class LongOnesEarly extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number =>
      LONG.findIndex((name) => moduleId.endsWith(`/${name}`));
    const sorted = await super.sort(files);
    const others = sorted.filter((file) => rankOf(file) < 0);
    sorted
      .filter((file) => rankOf(file) >= 0)
      .sort((a, b) => rankOf(a) - rankOf(b))
      .forEach((file, index) => others.splice(index * ONE_OF, 0, file));
    return others;
  }
}
