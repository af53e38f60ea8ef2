import { describe, it } from 'vitest';
import { makeAuthority } from '../../support/certificates.js';
import { compared, IS_QUICK, median, skipped } from '../measure.js';
import { benchPrograms } from './crowd.js';
import { bareFigures, ourFigures, type Figures } from './figures.js';
import { makeSeeds } from './servers.js';

/** `BELLWETHER_BENCH_NODES=2000 npm run bench -- sockets` for another size. */
const NODES = Number(process.env['BELLWETHER_BENCH_NODES'] ?? (IS_QUICK ? 500 : 10_000));
const ROUNDS = Number(process.env['BELLWETHER_BENCH_ROUNDS'] ?? (IS_QUICK ? 1 : 3));
const KIB = 1_024;

type Name = keyof Figures;
const of = (rounds: readonly Figures[], name: Name): number =>
  median(rounds.flatMap((figures) => figures[name] ?? []));

/** Baseline and ours in turns, so that both meet the same neighbours on the machine. */
async function rounds(
  measure: readonly [bare: () => Promise<Figures>, ours: () => Promise<Figures>],
): Promise<readonly [Figures[], Figures[]]> {
  const all: [Figures[], Figures[]] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    all[0].push(await measure[0]());
    all[1].push(await measure[1]());
    process.stdout.write(`round ${round + 1}: ${JSON.stringify(all.map((one) => one.at(-1)))}\n`);
  }
  return all;
}

describe(`${NODES} nodes on real sockets`, () => {
  it('against a server of bare ws, with the same client', { timeout: 3_600_000 }, async () => {
    const programs = benchPrograms();
    const seeds = makeSeeds(NODES);
    const [bare, ours] = await rounds([
      () => bareFigures(programs.path, seeds, null),
      () => ourFigures(programs.path, seeds, null),
    ]);
    const row = (key: string, what: string, unit: string, name: Name, per = 1): void => {
      compared(`${what}, ${NODES} nodes`, {
        ...{ row: key, unit },
        baseline: ['bare ws', of(bare, name) / per],
        measured: ['manager', of(ours, name) / per],
      });
    };
    row('memory', 'memory of a connected, authenticated node', 'KiB', 'bytesPerNode', KIB);
    row('connect_cpu', 'CPU of a connection, from upgrade to welcome', 'µs', 'connectCpuMicros');
    row('health_cpu', 'CPU of a health beat', 'µs', 'healthCpuMicros');
    row(
      'event_cpu',
      'CPU of an event that is an echo, up to its acknowledgement',
      'µs',
      'eventCpuMicros',
    );
    row('gap', 'longest gap of a 10 ms timer under a flood', 'ms', 'gapMs');
    row('push', 'push of upgrade_binary: the last node has it', 'ms', 'pushMs');
    row('push_cpu', 'CPU of that push', 'ms', 'pushCpuMs');
    compared(`a whole round, settle times zero, ${NODES} nodes`, {
      ...{ row: 'round', unit: 'ms' },
      baseline: ['bare fan-out', of(bare, 'pushMs')],
      measured: ['manager', of(ours, 'roundMs')],
    });
    row('round_same', 'the same round, played by bare ws', 'ms', 'roundMs');
    row('back', 'killed and started: 99 % are back', 'ms', 'backMs');
    row('back_cpu', 'CPU of taking them back', 'ms', 'backCpuMs');
    compared(`nodes that failed or turned back because the manager was killed, of ${NODES}`, {
      ...{ row: 'harmed', unit: 'nodes' },
      baseline: ['allowed', 0],
      measured: ['were', of(ours, 'harmed')],
    });
    const quietMs = of(ours, 'pauseMs');
    if (Number.isNaN(quietMs)) skipped('pause', 'the wave had ended before Pause was pressed');
    else {
      compared(`Pause pressed in a wave: until no node swaps any more, ${NODES} nodes`, {
        ...{ row: 'pause', unit: 'ms' },
        baseline: ['lease', 10_000],
        measured: ['last swap after', quietMs],
      });
    }
    programs.remove();
  });

  it('over TLS', { timeout: 3_600_000 }, async () => {
    const programs = benchPrograms();
    const authority = makeAuthority();
    const tls = { ...authority.issue('IP:127.0.0.1'), caFile: authority.caFile };
    const seeds = makeSeeds(IS_QUICK ? NODES : Math.min(NODES, 3_000));
    const [bare, ours] = await rounds([
      () => bareFigures(programs.path, seeds, tls),
      () => ourFigures(programs.path, seeds, tls),
    ]);
    compared(`memory of a connected node over TLS, ${seeds.length} nodes`, {
      ...{ row: 'memory_tls', unit: 'KiB' },
      baseline: ['bare ws', of(bare, 'bytesPerNode') / KIB],
      measured: ['manager', of(ours, 'bytesPerNode') / KIB],
    });
    authority.remove();
    programs.remove();
  });
});
