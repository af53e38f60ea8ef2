import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { buildPrograms, agentProgram } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import { eventually } from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { compared, median } from './measure.js';

/**
 * The agent at rest: memory with one idle link, and time from start to the first connection. Beside
 * it a bare process of the same runtime that opens one socket and does nothing else.
 * BELLWETHER_AGENT_BINARY names the executable that is measured; without it, Node runs the agent.
 */
const ROUNDS = 15;
/** It settles for half a minute (`src/agent/runtime/give-back.ts`). */
const REST_MS = 60_000;
/** Of CPU time in /proc/PID/stat, on every Linux that the agent runs on. */
const TICKS_PER_SECOND = 100;

const BARE = `
const socket = new WebSocket(process.argv[2]);
socket.onerror = () => undefined;
setInterval(() => undefined, 60_000);
`;

/** Memory in MB: all that is resident, or without the pages of files, which can be dropped at any time. */
const memoryMb = (child: ChildProcess, what: 'VmRSS' | 'RssAnon'): number => {
  const status = readFileSync(`/proc/${String(child.pid)}/status`, 'utf8');
  return Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
};

/** Seconds of CPU that it has taken so far. */
const cpuSeconds = (child: ChildProcess): number => {
  const stat = readFileSync(`/proc/${String(child.pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
};

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
};

describe('an agent at rest', () => {
  const dir = makeTempDir();
  const started: ChildProcess[] = [];
  let programs: ReturnType<typeof buildPrograms>;
  let manager: TestManager;
  let listener: Server;
  let port = 0;

  const start = (file: string, args: readonly string[], bare = false): ChildProcess => {
    // The executable alone is its bare runtime when it is told so.
    const env = bare ? { ...process.env, BUN_BE_BUN: '1' } : process.env;
    const child = spawn(file, args, { stdio: 'ignore', env });
    started.push(child);
    return child;
  };
  const agent = (folder: string): ChildProcess => {
    const { file, args } = agentProgram(programs.path);
    return start(file, [...args, 'run', '--stop-services', '--dir', folder]);
  };
  const bare = (url: string): ChildProcess =>
    start(agentProgram('').file, [join(dir.path, 'bare.mjs'), url], true);

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager({});
    listener = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    ({ port } = listener.address() as AddressInfo);
    writeFileSync(join(dir.path, 'bare.mjs'), BARE);
    const { body } = await manager.call('enrollment.create', { body: { group_id: 'grp_default' } });
    const { file, args } = agentProgram(programs.path);
    const words = ['--manager', manager.url, '--token', body.secret, '--name', 'edge-01'];
    const enrolled = spawn(file, [...args, 'enroll', '--dir', join(dir.path, 'node'), ...words]);
    await once(enrolled, 'exit');
    // As the installer leaves it: the agent looks after itself.
    const root = join(dir.path, 'agent');
    mkdirSync(root);
    const policy = readFileSync('deploy/policy.toml', 'utf8');
    writeFileSync(
      join(root, 'policy.toml'),
      policy.replace('@ENABLED@', 'true').replace('@SIGNERS@', ''),
    );
    appendFileSync(
      join(dir.path, 'node', 'agent.toml'),
      `\n[[services]]\nname = "agent"\nproduct = "bellwether-agent"\nroot = "${root}"\ndriver = "self"\n`,
    );
  }, 120_000);

  afterAll(async () => {
    for (const child of started) await end(child);
    listener.close();
    await manager.stop();
    programs.remove();
    dir.remove();
  });

  /** Milliseconds from the start of the process to the first connection. */
  const timeToConnect = async (make: () => ChildProcess): Promise<number> => {
    const startedAt = performance.now();
    const child = make();
    await once(listener, 'connection');
    const ms = performance.now() - startedAt;
    await end(child);
    return ms;
  };

  it('is small', { timeout: 240_000 }, async () => {
    const own = agent(join(dir.path, 'node'));
    const other = bare(`${manager.url.replace('http', 'ws')}/healthz`);
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      if (body.items[0]?.status !== 'online') throw new Error('not online yet');
    });
    await sleep(REST_MS);
    const before = [other, own].map(cpuSeconds);
    await sleep(REST_MS);
    const [others = 0, owns = 0] = [other, own].map(
      (child, index) => cpuSeconds(child) - (before[index] ?? 0),
    );
    const hours = REST_MS / 3_600_000;
    compared('CPU at rest', {
      row: 'agent_cpu',
      unit: 's/hour',
      baseline: ['bare process', others / hours],
      measured: ['agent', owns / hours],
    });
    for (const what of ['VmRSS', 'RssAnon'] as const) {
      compared(`memory with one idle link (${what})`, {
        ...(what === 'VmRSS' ? { row: 'agent_rss' } : {}),
        unit: 'MB',
        baseline: ['bare process', memoryMb(other, what)],
        measured: ['agent', memoryMb(own, what)],
      });
    }
    await end(own);
    await end(other);
  });

  it('is soon there', { timeout: 300_000 }, async () => {
    const folder = join(dir.path, 'node');
    const config = join(folder, 'agent.toml');
    const text = readFileSync(config, 'utf8');
    writeFileSync(config, text.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`));
    if (!existsSync(config)) throw new Error('not enrolled');
    const bares: number[] = [];
    const agents: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bares.push(await timeToConnect(() => bare(`ws://127.0.0.1:${port}/`)));
      agents.push(await timeToConnect(() => agent(folder)));
    }
    compared('start to first connection (median)', {
      row: 'agent_start',
      unit: 'ms',
      baseline: ['bare process', median(bares)],
      measured: ['agent', median(agents)],
    });
    compared('start to first connection (best)', {
      unit: 'ms',
      baseline: ['bare process', Math.min(...bares)],
      measured: ['agent', Math.min(...agents)],
    });
  });
});
