import { writeSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { killAtRandom } from './kill-bench.js';

/** `npm run test:sinks -- --kills 1000 --events 200000` sets these. */
const KILLS = Number(process.env['SINK_KILLS'] ?? 5);
const EVENTS = Number(process.env['SINK_EVENTS'] ?? 2_000);
const IS_LONG = process.env['SINK_KILLS'] !== undefined;
const SEED = process.env['SINK_SEED'] ?? 'sinks';
/** A restart takes some seconds on a busy machine. */
const TIME_MS_MAX = 120_000 + KILLS * 15_000 + EVENTS * 5;

describe('sinks while managers and receivers are killed', () => {
  let programs: ReturnType<typeof buildPrograms>;
  beforeAll(() => {
    programs = buildPrograms();
  });
  afterAll(() => programs.remove());

  it.each([
    ['sqlite', 1],
    ['postgres', 3],
  ] as const)(
    'lose nothing, keep the order, and repeat only under the same id (%s, %i managers)',
    async (database, managers) => {
      const plan = { database, managers, kills: KILLS, events: EVENTS, seed: SEED };
      const { stored, arrived, kills, killedManagers } = await killAtRandom({
        ...plan,
        programs: programs.path,
        onProgress: (line) => {
          if (IS_LONG) writeSync(2, `${database}: ${line}\n`);
        },
      });
      expect(kills).toBe(KILLS);
      expect(stored.map(({ id }) => id)).toEqual(stored.map((_, index) => index + 1));
      expect(stored.filter(({ message }) => message.startsWith('event '))).toHaveLength(EVENTS);
      const messageOf = new Map(stored.map(({ id, message }) => [id, message]));
      for (const [name, lines] of Object.entries(arrived)) {
        const firsts = [...new Set(lines.map(({ id }) => id))];
        // All of them, in the order of the log, each where it came first.
        expect([name, firsts.length]).toEqual([name, stored.length]);
        expect(firsts.every((id, index) => id === index + 1)).toBe(true);
        const changed = lines.filter(({ id, message }) => messageOf.get(id) !== message);
        expect([name, changed]).toEqual([name, []]);
        const repeated = lines.length - firsts.length;
        console.info(
          `${database} ${name}: ${stored.length} events, ${kills} kills (managers ${killedManagers}), ${repeated} repeated`,
        );
      }
    },
    TIME_MS_MAX,
  );
});
