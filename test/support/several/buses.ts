import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '../../../src/server/platform/bus/index.js';

/** Resolves when each of these hears each other one, both as one and as one of all. */
export async function allHear(buses: readonly Bus[]): Promise<void> {
  const heard = buses.map((bus) => {
    const ids = new Set<string>();
    bus.hear('nodes', (message) => {
      for (const id of message.ids) ids.add(id);
    });
    return ids;
  });
  const wanted = (buses.length - 1) * 2;
  while (heard.some((ids) => ids.size < wanted)) {
    for (const [from, bus] of buses.entries()) {
      bus.tell('nodes', { ids: [`nod_all_${from}`] });
      for (const to of buses.keys()) {
        bus.tell('nodes', { ids: [`nod_from_${from}`] }, `mgr_${to}`);
      }
    }
    await sleep(20);
  }
  // What is still on the way.
  await sleep(200);
}
