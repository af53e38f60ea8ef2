import { describe, expect, it } from 'vitest';
import { historiesRecorded, replay } from './histories.js';
import { recordAll } from './record.js';

/**
 * A change of the machines that changes what they decide is seen here, step by step. When it is wanted:
 * `RECORD=1 npx vitest run test/simulation/recorded.spec.ts`, and read the difference before you keep it.
 */
const records = process.env['RECORD'] === '1';
if (records) await recordAll();

const recorded = historiesRecorded();
/** As a file holds it: without what JSON leaves out. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

describe('recorded histories', () => {
  it('are there, of rollouts and of updates', () => {
    const kinds = recorded.map(({ history }) => history.kind);
    expect(kinds.filter((kind) => kind === 'rollout').length).toBeGreaterThanOrEqual(24);
    expect(kinds.filter((kind) => kind === 'update').length).toBeGreaterThanOrEqual(12);
  });

  for (const { name, history } of recorded) {
    it(`${name} is decided today as it was then`, () => {
      const today = asJson(replay(history)) as typeof history;
      history.steps.forEach((step, index) => {
        expect(today.steps[index], `step ${index}`).toEqual(step);
      });
      expect(today).toEqual(history);
    });
  }
});
