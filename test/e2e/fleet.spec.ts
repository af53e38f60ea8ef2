import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';

/** Whole programs with real sockets, beside other tests on slow processors. */
const PLAYED_MS_MAX = 180_000;

interface End {
  readonly ok: boolean;
  readonly findings: readonly { readonly what: string; readonly ok: boolean }[];
  readonly rollout: {
    readonly status: string;
    readonly waves: readonly { readonly size: number }[];
  } | null;
  readonly report: {
    readonly versions: Readonly<Record<string, number>>;
    readonly numbers: Readonly<Record<string, number>>;
  };
}

describe('npm run fleet', { timeout: PLAYED_MS_MAX }, () => {
  const dir = makeTempDir();
  let programs: ReturnType<typeof buildPrograms>;
  beforeAll(() => {
    programs = buildPrograms();
  }, 120_000);
  afterAll(() => {
    programs.remove();
    dir.remove();
  });

  const fleet = async (...words: readonly string[]) => {
    const main = join(programs.path, 'simulator/live/main.js');
    const child = spawn(process.execPath, [main, ...words, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, said] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, said, end: (out === '' ? null : JSON.parse(out)) as End | null };
  };

  it('upgrades every node of a healthy fleet over real links', async () => {
    const { code, said, end } = await fleet('--nodes', '30', '--seed', 'a', '--workers', '2');
    expect(end?.findings.filter(({ ok }) => !ok)).toEqual([]);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(end?.rollout?.status).toBe('complete');
    expect(end?.report.numbers).toMatchObject({ succeeded: 30, swaps: 30, events_made: 210 });
  });

  it('leaves with 1 when what the scenario expects does not happen', async () => {
    const file = join(dir.path, 'wrong.json');
    writeFileSync(
      file,
      JSON.stringify({
        name: 'wrong',
        about: 'nobody is upgraded, but somebody expects it',
        rollout: null,
        linger_ms: 0,
        expect: { at_least: { connected: 1, upgraded: 0.5 } },
      }),
    );
    const { code, end } = await fleet('--nodes', '3', '--scenario', file);
    expect(code).toBe(1);
    expect(end?.findings.filter(({ ok }) => !ok)).toHaveLength(1);
  });

  it('rehearses a plan on a copy of an inventory', async () => {
    const node = (at: number, group: string, version: string): object => ({
      id: `nod_00000${at}`,
      name: `shop-${at}`,
      group_id: group,
      status: 'offline',
      host: { os: 'linux', arch: at % 2 === 0 ? 'arm64' : 'x64' },
      labels: { site: group },
      services: [
        { name: 'till', product: 'till', variant: 'default', version },
        { name: 'edge', product: 'edge', variant: 'default', version: '3.0.0' },
      ],
    });
    const nodes = [1, 2, 3, 4].map((at) => node(at, 'grp_north1', '1.0.0'));
    nodes.push(...[5, 6].map((at) => node(at, 'grp_south1', '1.1.0')));
    const files = { nodes: join(dir.path, 'nodes.json'), plan: join(dir.path, 'plan.json') };
    writeFileSync(files.nodes, JSON.stringify(nodes));
    writeFileSync(
      files.plan,
      JSON.stringify({
        product: 'till',
        version: '2.0.0',
        strategy: 'custom',
        scope: { exclude_node_ids: ['nod_000004'] },
        waves: [
          { label: { key: 'site', value: 'grp_south1' }, settle_seconds: 600, approvals: 2 },
          { rest: true, settle_seconds: 600, wait_hours: 24 },
        ],
      }),
    );
    const { code, said, end } = await fleet('--inventory', files.nodes, '--plan', files.plan);
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
    expect(said).toContain('not waited for: waves[1].wait_hours: 24 → 0');
    expect(end?.rollout).toMatchObject({ status: 'complete', waves: [{ size: 2 }, { size: 3 }] });
    expect(end?.report.versions).toEqual({ 'till 2.0.0': 5, 'till 1.0.0': 1, 'edge 3.0.0': 6 });
  });

  it.each([
    ['a stranger', ['--manager', 'https://manager.example'], '--i-operate manager.example'],
    ['no token', ['--manager', 'http://127.0.0.1:1'], 'no token'],
    ['a plan alone', ['--plan', 'plan.json'], 'a rehearsal takes both'],
    ['no number', ['--nodes', 'many'], '--nodes many'],
    ['no scenario', ['--scenario', 'sunny'], 'there are healthy'],
  ])('refuses in words: %s', async (_what, words, told) => {
    const { code, said } = await fleet(...words);
    expect(code).toBe(2);
    expect(said).toContain(told);
  });
});
