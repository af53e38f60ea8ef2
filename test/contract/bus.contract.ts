import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { IDS_MAX, type Bus } from '../../src/server/platform/bus/index.js';

/** Two or more on one bus; a local one has only itself. */
export interface Neighbours {
  readonly buses: readonly Bus[];
  /** Resolves when what is told from now on is heard by all of them. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

const LONG_ENOUGH_MS = 300;

/** What every adapter of the bus promises: hints, to others, bounded, and never an error. */
export function describeBus(name: string, open: () => Promise<Neighbours>): void {
  describe(`the bus (${name})`, () => {
    const opened: Neighbours[] = [];
    afterEach(async () => {
      for (const each of opened.splice(0)) await each.stop();
    });

    const start = async () => {
      const neighbours = await open();
      opened.push(neighbours);
      const heard = neighbours.buses.map((bus) => {
        const ids: string[] = [];
        bus.hear('nodes', (message) => ids.push(...message.ids));
        return ids;
      });
      await neighbours.ready();
      for (const ids of heard) ids.length = 0;
      return { ...neighbours, heard };
    };
    const others = (count: number): readonly number[] =>
      Array.from({ length: count - 1 }, (_, index) => index + 1);

    it('carries to all others, and not to who speaks', async () => {
      const { buses, heard } = await start();
      buses[0]?.tell('nodes', { ids: ['nod_aaaaaa'] });
      for (const index of others(buses.length)) {
        await expect.poll(() => heard[index]).toEqual(['nod_aaaaaa']);
      }
      await sleep(LONG_ENOUGH_MS);
      expect(heard[0]).toEqual([]);
    });

    it('carries to one', async () => {
      const { buses, heard } = await start();
      buses[0]?.tell('nodes', { ids: ['nod_aaaaaa'] }, 'mgr_1');
      buses[0]?.tell('nodes', { ids: ['nod_bbbbbb'] }, 'mgr_0');
      buses[0]?.tell('nodes', { ids: ['nod_cccccc'] }, 'mgr_nobody');
      if (buses.length > 1) await expect.poll(() => heard[1]).toEqual(['nod_aaaaaa']);
      await sleep(LONG_ENOUGH_MS);
      expect([heard[0], heard[2] ?? []]).toEqual([[], []]);
    });

    it('carries what is told together, all of it', async () => {
      const { buses, heard } = await start();
      const ids = Array.from(
        { length: 20 * IDS_MAX },
        (_, i) => `nod_${String(i).padStart(6, '0')}`,
      );
      for (let at = 0; at < ids.length; at += IDS_MAX) {
        buses[0]?.tell('nodes', { ids: ids.slice(at, at + IDS_MAX) });
      }
      for (const index of others(buses.length)) {
        await expect.poll(() => heard[index]?.length).toBe(ids.length);
        expect(new Set(heard[index])).toEqual(new Set(ids));
      }
    });

    it('takes any amount without an error and without growing', async () => {
      const { buses } = await start();
      for (let times = 0; times < 20_000; times += 1) buses[0]?.tell('events', {});
      await sleep(LONG_ENOUGH_MS);
    });

    it('lets nobody down because of a hearer that throws', async () => {
      const { buses, heard } = await start();
      buses[1]?.hear('nodes', () => {
        throw new Error('not today');
      });
      buses[0]?.tell('nodes', { ids: ['nod_aaaaaa'] });
      buses[0]?.tell('nodes', { ids: ['nod_bbbbbb'] });
      if (buses.length > 1) {
        await expect.poll(() => heard[1]).toEqual(['nod_aaaaaa', 'nod_bbbbbb']);
      }
    });

    it('is silent when it is closed, however often', async () => {
      const { buses, heard } = await start();
      await buses[0]?.close();
      await buses[0]?.close();
      buses[0]?.tell('nodes', { ids: ['nod_aaaaaa'] });
      buses[1]?.tell('nodes', { ids: ['nod_bbbbbb'] });
      await sleep(LONG_ENOUGH_MS);
      expect(heard[0]).toEqual([]);
      expect(heard.flat()).not.toContain('nod_aaaaaa');
    });
  });
}
