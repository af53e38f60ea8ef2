import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeSeed } from '../../../src/simulator/live/orders.js';
import type { CertificateFiles } from '../../support/certificates.js';
import { release } from '../../support/catalog.js';
import { startCrowd, type Crowd } from './crowd.js';
import {
  startBareServer,
  startBenchManager,
  type BenchManager,
  type Inside,
  type makeSeeds,
} from './servers.js';

const FLOOD_MS = 4_000;
/** All nodes together; what the client can do, so that the server is not asked for more than comes. */
const FLOOD_PER_SECOND = 6_000;
/** As much as the client can give. */
const GAP_FLOOD_PER_SECOND = 20_000;

/** What one round of one server gives, in ms, µs of CPU or bytes. */
export type Figures = Partial<
  Record<
    | 'bytesPerNode'
    | 'connectCpuMicros'
    | 'healthCpuMicros'
    | 'eventCpuMicros'
    | 'gapMs'
    | 'pushMs'
    | 'pushCpuMs'
    | 'roundMs'
    | 'roundCpuMs'
    | 'pauseMs'
    | 'backMs'
    | 'backCpuMs'
    | 'harmed',
    number
  >
>;

type Seeds = ReturnType<typeof makeSeeds>;
export interface Round {
  readonly server: Inside;
  readonly crowd: Crowd;
  readonly seeds: readonly NodeSeed[];
  readonly figures: Figures;
}

const CONNECTS_PER_SECOND = 1_500;

export async function connectAll({ server, crowd, seeds, figures }: Round): Promise<void> {
  const before = await server.restBytes();
  const cpuAt = await server.cpuMicros();
  crowd.crew.connect(CONNECTS_PER_SECOND);
  await crowd.until('connect', ({ states }) => states.connected === seeds.length);
  figures.connectCpuMicros = ((await server.cpuMicros()) - cpuAt) / seeds.length;
  // What follows a connection, such as the first writing of health, is part of it.
  await sleep(2_000);
  figures.bytesPerNode = ((await server.restBytes()) - before) / seeds.length;
}

async function flood(
  { server, crowd, seeds }: Round,
  what: 'health' | 'events',
  perSecond: number,
): Promise<number> {
  const sentBefore = crowd.crew.report().numbers.messages_out;
  const cpuAt = await server.cpuMicros();
  crowd.crew.tell({
    ...{ order: 'flood', what, forMs: FLOOD_MS },
    perSecond: perSecond / seeds.length,
  });
  await sleep(FLOOD_MS + 1_000);
  const cpu = (await server.cpuMicros()) - cpuAt;
  return cpu / (crowd.crew.report().numbers.messages_out - sentBefore);
}

async function floods(round: Round): Promise<void> {
  const { server, figures } = round;
  figures.healthCpuMicros = await flood(round, 'health', FLOOD_PER_SECOND);
  figures.eventCpuMicros = await flood(round, 'events', FLOOD_PER_SECOND);
  await server.gapBegin();
  await flood(round, 'health', GAP_FLOOD_PER_SECOND);
  figures.gapMs = await server.gapEnd();
}

/** The last node has its command; and all have done it, and every event is acknowledged. */
export async function wholeRound(round: Round, begin: () => Promise<unknown>): Promise<void> {
  const { server, crowd, seeds, figures } = round;
  const cpuAt = await server.cpuMicros();
  const before = crowd.crew.report().numbers;
  const startedAt = Date.now();
  const begun = begin();
  const told = await crowd.until(
    'push',
    ({ numbers }) => numbers.commands - before.commands >= seeds.length,
  );
  figures.pushMs = told.numbers.last_command_at - startedAt;
  figures.pushCpuMs = ((await server.cpuMicros()) - cpuAt) / 1_000;
  await begun;
  const done = await crowd.until(
    'round',
    ({ numbers, backlog }) => numbers.succeeded - before.succeeded >= seeds.length && backlog === 0,
  );
  figures.roundMs = done.numbers.last_ack_at - startedAt;
  figures.roundCpuMs = ((await server.cpuMicros()) - cpuAt) / 1_000;
}

/** A word after each stage: on a slow disk a round takes minutes, and silence looks like a hang. */
const at = (what: string): void => void process.stdout.write(`  ${what}\n`);

async function killed(round: Round): Promise<void> {
  const { server, crowd, seeds, figures } = round;
  const before = crowd.crew.report().numbers.welcomed;
  await server.kill();
  const startedAt = performance.now();
  await server.start();
  const cpuAt = await server.cpuMicros();
  await crowd.until('back', ({ states, numbers }) => {
    return (
      numbers.welcomed - before >= 0.99 * seeds.length && states.connected >= 0.99 * seeds.length
    );
  });
  figures.backMs = performance.now() - startedAt;
  figures.backCpuMs = ((await server.cpuMicros()) - cpuAt) / 1_000;
}

const memoryOnly = async (round: Round): Promise<Figures> => {
  await connectAll(round);
  return round.figures;
};

export async function bareFigures(
  programs: string,
  seeds: Seeds,
  tls: (CertificateFiles & { readonly caFile: string }) | null,
): Promise<Figures> {
  const server = await startBareServer(tls);
  const caPem = tls === null ? null : readFileSync(tls.caFile, 'utf8');
  const crowd = await startCrowd(programs, seeds, { urls: [server.url], caPem });
  try {
    const round: Round = { server, crowd, seeds, figures: {} };
    if (tls !== null) return await memoryOnly(round);
    at('connects');
    await connectAll(round);
    at('floods');
    await floods(round);
    at('rolls out');
    await wholeRound(round, () => server.push('2.0.0'));
    at('is killed');
    await killed(round);
    return round.figures;
  } finally {
    await crowd.crew.stop();
    await server.stop();
  }
}

export async function ourFigures(
  programs: string,
  seeds: Seeds,
  tls: (CertificateFiles & { readonly caFile: string }) | null,
): Promise<Figures> {
  const server = await startBenchManager(programs, seeds, tls);
  const caPem = tls === null ? null : readFileSync(tls.caFile, 'utf8');
  const crowd = await startCrowd(programs, seeds, { urls: [server.url], caPem });
  try {
    const round: Round = { server, crowd, seeds, figures: {} };
    if (tls !== null) return await memoryOnly(round);
    at('connects');
    await connectAll(round);
    at('floods');
    await floods(round);
    at('rolls out');
    await release(server as never, { version: '2.0.0', sequence: 2 });
    await release(server as never, { version: '3.0.0', sequence: 3 });
    await wholeRound(round, () => roll(server, '2.0.0'));
    await pausedAndKilled(round, server);
    return round.figures;
  } finally {
    await crowd.crew.stop();
    await server.stop();
  }
}

/** Of all nodes at once; gives its id. */
export async function roll(
  server: Pick<BenchManager, 'call'>,
  version: string,
  more: { readonly max_unavailable?: number } = {},
): Promise<string> {
  const { status, body } = await server.call('rollouts.create', {
    body: { product: 'edge', version, strategy: 'immediate', ...more },
  });
  if (status !== 202) throw new Error(JSON.stringify(body));
  return body.id;
}

/** Pause in the middle of a wave; then the manager dies, and what was open goes on to its end. */
async function pausedAndKilled(round: Round, server: BenchManager): Promise<void> {
  const { crowd, seeds, figures } = round;
  const before = crowd.crew.report().numbers;
  // Without a limit all of them have their permits before a finger finds the button.
  const id = await roll(server, '3.0.0', { max_unavailable: Math.ceil(seeds.length / 20) });
  await crowd.until('swaps', ({ numbers }) => numbers.swaps - before.swaps >= seeds.length / 10);
  const pressedAt = Date.now();
  const { status } = await server.call('rollouts.pause', { params: { id } });
  // It may have been faster than the finger.
  const isPaused = status === 200;
  // As long as a permit that was granted a moment ago could still be used.
  await sleep(11_000);
  const quiet = crowd.crew.report().numbers;
  if (isPaused && quiet.swaps - before.swaps < seeds.length) {
    figures.pauseMs = Math.max(0, quiet.last_swap_at - pressedAt);
  }
  await killed(round);
  if (isPaused) await server.call('rollouts.resume', { params: { id } });
  await crowd.until(
    'after the kill',
    ({ numbers }) => numbers.succeeded - before.succeeded >= seeds.length,
  );
  const { failed, rolled_back: back } = crowd.crew.report().numbers;
  figures.harmed = failed - before.failed + back - before.rolled_back;
}
