import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import {
  judgeIndex,
  judgePolicyUpdate,
  NodePolicy,
  type ChannelIndex,
  type SignedDocument,
} from '../../core/release/index.js';
import { runProgram } from '../program.js';

const root = mkdtempSync(join(tmpdir(), 'bellwether-documents-'));
let manager: TestManager;
beforeAll(async () => {
  manager = await startTestManager();
});
afterAll(async () => {
  await manager.stop();
  rmSync(root, { recursive: true, force: true });
});

let work = '';
let count = 0;
const at = (name: string): string => join(work, name);
async function run(...words: string[]) {
  const env = { BELLWETHER_TOKEN: manager.admin, BELLWETHER_MANAGER: manager.url };
  const terminal = recordingTerminal(env);
  const code = await runProgram(['release', ...words], terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
async function runOk(...words: string[]): Promise<string> {
  const { code, out, err } = await run(...words);
  expect([code, err]).toEqual([0, err]);
  return out;
}
async function pack(version: string, sequence: number): Promise<string> {
  writeFileSync(at('program'), version);
  const names = ['--product', 'edge', '--version', version, '--channel', 'stable'];
  const artifact = ['--artifact', `linux/x64=${at('program')}`, '--out', at(version)];
  await runOk('pack', ...names, '--sequence', String(sequence), ...artifact);
  return at(version);
}
const read = (name: string): ChannelIndex =>
  JSON.parse(readFileSync(at(name), 'utf8')) as ChannelIndex;
const signed = (name: string): SignedDocument => ({
  document: readFileSync(at(name), 'utf8'),
  signatures: [readFileSync(at(`${name}.pipeline.minisig`), 'utf8')],
});
const policyText = (): string => {
  const [, key = ''] = readFileSync(at('pipeline.pub'), 'utf8').split('\n');
  return `enabled = true\nsequence = 2\n[[signers]]\nname = "pipeline"\npublic_key = "${key}"\n`;
};
const policy = (): NodePolicy => {
  const [, public_key = ''] = readFileSync(at('pipeline.pub'), 'utf8').split('\n');
  return NodePolicy.parse({ enabled: true, signers: [{ name: 'pipeline', public_key }] });
};

beforeEach(async () => {
  work = join(root, String((count += 1)));
  mkdirSync(work);
  await runOk('keygen', '--out', work, '--name', 'pipeline');
});

describe('signed documents from a pipeline', () => {
  it('an index is made, signed, announced, and counts on a node', async () => {
    const dir = await pack('1.4.0', 14);
    await runOk('index', dir, '--sequence', '1', '--floor', '12', '--out', at('i1.json'));
    await runOk('sign', '--key', at('pipeline.key'), at('i1.json'));
    const out = await runOk('announce', at('i1.json'));
    expect(out).toBe('announced index 1 of edge on stable\n');
    expect(await runOk('documents')).toMatch(/edge +stable +index +1 /);
    expect(await runOk('documents', '--product', 'gateway')).toBe('nothing was announced\n');
    const who = { policy: policy(), trust: null, product: 'edge' };
    const asked = { ...who, channel: 'stable', known: null } as const;
    const judged = judgeIndex(signed('i1.json'), asked);
    expect(judged).toMatchObject({ ok: true, value: { sequence: 1, floor: 12, revoked: [] } });
  });

  it('a revocation goes on from the index before, and is carried by the next', async () => {
    const [old, current] = [await pack('1.4.0', 14), await pack('1.5.0', 15)];
    await runOk('index', current, '--sequence', '1', '--out', at('i1.json'));
    const why = ['--reason', 'it leaks', '--previous', at('i1.json'), '--sequence', '2'];
    await runOk('revoke', old, ...why, '--out', at('i2.json'));
    expect(read('i2.json').revoked).toMatchObject([{ version: '1.4.0', reason: 'it leaks' }]);
    const next = ['--previous', at('i2.json'), '--sequence'];
    await runOk('index', current, ...next, '3', '--out', at('i3.json'));
    expect(read('i3.json').revoked).toEqual(read('i2.json').revoked);
    expect((await run('index', current, ...next, '2', '--out', at('i4.json'))).code).toBe(2);
    const own = await run('revoke', current, ...why, '--out', at('i5.json'));
    expect([own.code, own.err]).toEqual([2, expect.stringContaining('is the current release')]);
  });

  it('a downgrade permit and a policy update are made and signed the same way', async () => {
    const names = ['--product', 'edge', '--channel', 'stable', '--to', '1.1.0'];
    const from = ['--from-min', '1.4.0', '--from-max', '1.5.0', '--node', 'nod_000000000001'];
    await runOk('downgrade-permit', ...names, ...from, '--out', at('permit.json'));
    await runOk('sign', '--key', at('pipeline.key'), at('permit.json'));
    expect(await runOk('announce', at('permit.json'))).toContain('downgrade permit');
    writeFileSync(at('policy.toml'), policyText());
    const update = ['--service', 'edge', '--sequence', '2', '--out', at('update.json')];
    await runOk('policy-update', at('policy.toml'), ...update);
    await runOk('sign', '--key', at('pipeline.key'), at('update.json'));
    const who = { policy: policy(), trust: null, product: 'edge' };
    const asked = { ...who, service: 'edge', nowMs: Date.now() };
    expect(judgePolicyUpdate(signed('update.json'), asked).ok).toBe(true);
    const refused = await run('announce', at('update.json'));
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining('[release_document_invalid]'),
    ]);
  });

  it('what is wrong is told before anything is written', async () => {
    const dir = await pack('1.4.0', 14);
    expect((await run('index', dir, '--floor', '15', '--out', at('i.json'))).code).toBe(2);
    expect((await run('index', dir, '--valid', '500d', '--out', at('i.json'))).code).toBe(2);
    await runOk('index', dir, '--out', at('i.json'));
    const unsigned = await run('announce', at('i.json'));
    expect([unsigned.code, unsigned.err]).toEqual([2, expect.stringContaining('is not signed')]);
    writeFileSync(at('other.json'), '{"schema":"x"}');
    expect((await run('sign', '--key', at('pipeline.key'), at('other.json'))).code).toBe(1);
  });
});
