import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Crew } from '../../../src/simulator/live/crew.js';
import type { NodeSeed } from '../../../src/simulator/live/orders.js';
import type { Report } from '../../../src/simulator/live/tally.js';
import { buildPrograms } from '../../support/built.js';

/** The client of all these rows: the live simulator, in processes of its own, as it is shipped. */
export interface Crowd {
  readonly crew: Crew;
  /** Resolves when it is so; throws with the numbers when it is not within the limit. */
  until(what: string, isSo: (report: Report) => boolean, withinMs?: number): Promise<Report>;
}

/** Built by `npm run bench` already; anybody else builds anew, so that nothing old is measured. */
export function benchPrograms(): { readonly path: string; remove(): void } {
  const path = process.env['BELLWETHER_BENCH_PROGRAMS'];
  return path === undefined ? buildPrograms() : { path, remove: () => undefined };
}

/** For any stage; longer with many nodes: the clients are on the same machine. */
const LIMIT_MS = 300_000;
const LIMIT_MS_PER_NODE = 40;

export async function startCrowd(
  programs: string,
  seeds: readonly NodeSeed[],
  where: { readonly urls: readonly string[]; readonly caPem: string | null },
): Promise<Crowd> {
  const module = pathToFileURL(join(programs, 'simulator/live/crew.js')).href;
  const { Crew: Built } = (await import(module)) as { Crew: typeof Crew };
  const begin = {
    ...where,
    origin: where.urls[0] ?? '',
    seed: 'bench',
    // Hardly any time passes on the node: what is measured is what lies between the nodes and the manager.
    work: { fetch_ms: 0, stage_ms: 0, swap_ms: 0, health_window_ms: 20 },
    agentVersion: '0.1.0',
  };
  const crew = await Built.start(begin, seeds, 1);
  return {
    crew,
    until: async (what, isSo, withinMs = Math.max(LIMIT_MS, LIMIT_MS_PER_NODE * seeds.length)) => {
      const endsAt = performance.now() + withinMs;
      for (;;) {
        const report = crew.report();
        if (isSo(report)) return report;
        if (performance.now() > endsAt) {
          throw new Error(`${what}: not within ${withinMs} ms; ${JSON.stringify(report)}`);
        }
        await sleep(20);
      }
    },
  };
}
