import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { aService, connectNode } from '../../../test/support/node-link.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const root = mkdtempSync(join(tmpdir(), 'bellwether-catalog-'));
const at = (...parts: string[]): string => join(root, ...parts);
let manager: TestManager;
beforeAll(async () => {
  manager = await startTestManager();
  await runOk(['release', 'keygen', '--out', at('keys'), '--name', 'release']);
});
afterAll(async () => {
  await manager.stop();
  rmSync(root, { recursive: true, force: true });
});

async function run(words: readonly string[], url = manager.url) {
  const env = { BELLWETHER_TOKEN: manager.admin, BELLWETHER_MANAGER: url };
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function runOk(words: readonly string[], url?: string): Promise<string> {
  const { code, out, err } = await run(words, url);
  expect([code, err]).toEqual([0, err]);
  return out;
}

/** Packs a release of random bytes, which do not compress, and signs it. */
async function pack(folder: string, version: string, channel: string, sequence: number, size = 99) {
  mkdirSync(at(`${folder}-tree`), { recursive: true });
  writeFileSync(at(`${folder}-tree`, 'edge'), randomBytes(size));
  await runOk([
    ...['release', 'pack', '--product', 'edge', '--version', version, '--channel', channel],
    ...['--sequence', String(sequence), '--out', at(folder)],
    ...['--artifact', `linux/x64=${at(`${folder}-tree`)}`],
  ]);
  await sign(folder);
}
const sign = (folder: string): Promise<string> =>
  runOk(['release', 'sign', '--key', at('keys', 'release.key'), at(folder)]);

/** A way to the manager that breaks off after so many bytes, so many times. */
async function brokenWay(bytesEach: number, breaks: number) {
  let broken = 0;
  let passed = 0;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(new URL(manager.url).port), '127.0.0.1');
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
    }
    let here = 0;
    near.on('data', (chunk: Buffer) => {
      passed += chunk.length;
      here += chunk.length;
      if (here < bytesEach || broken >= breaks) {
        far.write(chunk);
        return;
      }
      broken += 1;
      near.destroy();
      far.end();
    });
    near.on('end', () => far.end());
    far.on('data', (chunk) => near.write(chunk)).on('close', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts: () => ({ broken, passed }),
    stop: () => {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}

describe('publishing', () => {
  it('goes on where a connection broke off', async () => {
    const size = 8_000_000;
    await pack('large', '1.0.0', 'dev', 1, size);
    const way = await brokenWay(2_000_000, 3);
    const out = await runOk(['release', 'publish', at('large')], way.url);
    const { broken, passed } = way.counts();
    way.stop();
    expect(out).toMatch(/^published edge 1\.0\.0 on dev as rel_/);
    expect(broken).toBe(3);
    // What had come was not sent again: sent three times anew it would be 14 MB.
    expect(passed).toBeLessThan(size * 1.3);
  });

  it('gives up when nothing moves, and the next run goes on', async () => {
    const size = 3_000_000;
    await pack('stuck', '1.1.0', 'dev', 2, size);
    const dead = await brokenWay(6_000, 1_000);
    const { code, err } = await run(['release', 'publish', at('stuck')], dead.url);
    dead.stop();
    expect([code, err]).toEqual([3, expect.stringContaining('[manager_unreachable]')]);
    await runOk(['release', 'publish', at('stuck')]);
  });

  it('as a draft needs no signature', async () => {
    await pack('draft', '9.0.0', 'dev', 90);
    rmSync(at('draft', 'manifest.json.release.minisig'));
    expect((await run(['release', 'publish', at('draft')])).code).toBe(2);
    expect(await runOk(['release', 'publish', '--draft', at('draft')])).toMatch(/^drafted edge/);
    const drafts = await runOk(['release', 'list', '--state', 'draft']);
    expect(drafts).toMatch(/edge +9\.0\.0 +dev +90 +draft/);
  });
});

describe('a release', () => {
  it('is promoted: a manifest for a wider channel, signed and published anew', async () => {
    await pack('ripe', '2.0.0', 'dev', 20);
    await runOk(['release', 'publish', at('ripe')]);
    const promote = (ref: string, out: string, channel: string, sequence: number) =>
      run([
        ...['release', 'promote', ref, '--channel', channel],
        ...['--sequence', String(sequence), '--out', at(out)],
      ]);
    expect((await promote(at('ripe'), 'x1', 'dev', 21)).err).toContain('[release_not_wider]');
    expect((await promote(at('ripe'), 'x2', 'beta', 20)).err).toContain('[release_not_wider]');
    expect(await promote(at('ripe'), 'beta', 'beta', 21)).toMatchObject({ code: 0 });
    await sign('beta');
    const key = at('keys', 'release.pub');
    expect(await runOk(['release', 'verify', '--public-key', key, at('beta')])).toContain('match');
    await runOk(['release', 'publish', at('beta')]);
    // From the manager, by name; the artifacts are there.
    expect(await promote('edge@2.0.0', 'stable', 'stable', 22)).toMatchObject({ code: 0 });
    await sign('stable');
    await runOk(['release', 'publish', at('stable')]);
    const list = await runOk(['release', 'list', '-o', 'json']);
    const found = (
      JSON.parse(list) as { items: { version: string; channel: string; sequence: number }[] }
    ).items.filter(({ version }) => version === '2.0.0');
    expect(found.map(({ channel, sequence }) => [channel, sequence])).toEqual([
      ['stable', 22],
      ['beta', 21],
      ['dev', 20],
    ]);
  });

  it('is shown claim by claim, from a folder or from the manager', async () => {
    const fromFolder = await runOk(['release', 'show', at('ripe')]);
    expect(fromFolder).toMatch(/^signatures: +1\nproduct: +edge\nversion: +2\.0\.0\n/);
    expect(fromFolder).toMatch(/artifact linux\/x64\/default sha256: +[0-9a-f]{64}\n/);
    const known = await runOk(['release', 'show', 'edge@2.0.0/beta']);
    expect(known).toMatch(/state: +published\n/);
    expect(known).toMatch(/channel: +beta\n/);
    for (const ref of ['edge@7.7.7', 'rel_00000000000000000000']) {
      expect((await run(['release', 'show', ref])).err).toContain('[not_found]');
    }
    expect((await run(['release', 'show', 'nonsense'])).code).toBe(2);
  });

  it('is held against another one', async () => {
    const same = await runOk(['release', 'diff', at('ripe'), 'edge@2.0.0/dev']);
    expect(same).toBe('both say the same\n');
    const lines = (await runOk(['release', 'diff', at('ripe'), at('beta')])).split('\n');
    expect(lines.slice(1, 3)).toEqual([
      expect.stringMatching(/^channel +dev +beta$/),
      expect.stringMatching(/^sequence +20 +21$/),
    ]);
    expect(lines).toHaveLength(4);
  });

  it('is yanked with a reason', async () => {
    expect((await run(['release', 'yank', 'edge@2.0.0'])).code).toBe(2);
    const out = await runOk(['release', 'yank', 'edge@2.0.0', '--reason', 'eats memory']);
    expect(out).toBe('yanked edge 2.0.0\n');
    const shown = await runOk(['release', 'show', 'edge@2.0.0/dev']);
    expect(shown).toMatch(/state: +yanked at \S+: eats memory\n/);
  });

  it('is listed, the ten most recent ones', async () => {
    for (let i = 0; i < 11; i += 1) {
      await pack(`many${i}`, `3.${i}.0`, 'stable', 30 + i);
      await runOk(['release', 'publish', at(`many${i}`)]);
    }
    const lines = (await runOk(['release', 'list'])).trimEnd().split('\n');
    expect(lines).toHaveLength(12);
    expect(lines[1]).toContain('3.10.0');
    expect(lines.at(-1)).toMatch(/more/);
  });
});

it('artifacts that nothing needs are shown before they are removed', async () => {
  expect(await runOk(['release', 'collect'])).toBe('every artifact is needed\n');
  manager.clock.advance(169 * 3_600_000);
  expect(await runOk(['release', 'collect', '--remove'])).toBe('every artifact is needed\n');
});

it('sources are none when none are configured', async () => {
  expect(await runOk(['sources', 'list'])).toBe('no sources\n');
  expect((await run(['sources', 'refresh', 'x'])).err).toContain('[not_found]');
});

it('what a node and a group could come to is told', async () => {
  const node = await manager.node();
  const link = await connectNode(manager, node, { services: [aService({ version: '1.0.0' })] });
  const out = await runOk(['nodes', 'upgrades', node.id, '--channel', 'stable', '--limit', '2']);
  expect(out).toMatch(/^edge: edge 1\.0\.0 on stable, newest 3\.10\.0: out of support\n/);
  expect(out).toMatch(/up +3\.10\.0 +stable .* requires upgrade to 2\.x first\n/);
  const group = await runOk(['groups', 'upgrades', 'grp_default', '--channel', 'stable']);
  expect(group).toMatch(/^edge on 1 node\(s\): 1 x 1\.0\.0\n/);
  const shown = await runOk(['nodes', 'show', node.id]);
  expect(shown).toMatch(/SERVICE +CHANNEL +NEWEST +SUPPORT/);
  await link.close();
});

it('the schema of the manifest is the one that the manager gives', async () => {
  const printed: unknown = JSON.parse(await runOk(['release', 'schema']));
  expect(printed).toEqual((await manager.call('releases.schema', {}, null)).body);
  expect(readFileSync(at('ripe', 'manifest.json'), 'utf8')).toContain('bellwether.manifest.v1');
});
