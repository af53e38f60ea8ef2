import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

describe('cluster-tokens', () => {
  let manager: TestManager;
  beforeAll(async () => {
    manager = await startTestManager();
  });
  afterAll(() => manager.stop());

  const run = async (...words: string[]) => {
    const env = { BELLWETHER_TOKEN: manager.admin, BELLWETHER_MANAGER: manager.url };
    const terminal = recordingTerminal(env);
    const code = await runProgram(words, terminal);
    return { code, out: terminal.outText(), err: terminal.errText() };
  };
  const json = async (...words: string[]) => {
    const { code, out, err } = await run(...words, '-o', 'json');
    expect([code, err]).toEqual([0, err]);
    return JSON.parse(out) as Record<string, unknown>;
  };

  it('are made, listed without their secret, and revoked', async () => {
    const wanted = ['--cluster', 'prod-1', '--max-nodes', '5', '--days', '30'];
    const made = await json('cluster-tokens', 'create', ...wanted);
    expect(made).toMatchObject({ cluster: 'prod-1', max_nodes: 5, nodes: 0 });
    const [id, secret] = [String(made['id']), String(made['secret'])];
    const { out } = await run('cluster-tokens', 'list');
    expect(out).toContain('prod-1');
    expect(out).not.toContain(secret);
    expect(await run('cluster-tokens', 'revoke', id)).toMatchObject({
      code: 0,
      out: `revoked ${id}\n`,
    });
    expect(await json('cluster-tokens', 'list')).toMatchObject({
      items: [{ id, revoked_at: expect.any(String) as string }],
    });
  });

  it('show the line that puts one into its cluster', async () => {
    const { out } = await run('cluster-tokens', 'create', '--cluster', 'prod-2');
    expect(out).toMatch(/kubectl create secret generic .* --from-literal=enrollmentToken=bwc_/);
    expect(out).toContain('no limit');
  });

  it('refuse what the manager would refuse, before it is asked', async () => {
    for (const bad of [
      [],
      ['--cluster', 'Prod 1!'],
      ['--cluster', 'prod-1', '--days', '731'],
      ['--cluster', 'prod-1', '--max-nodes', '0'],
    ]) {
      expect((await run('cluster-tokens', 'create', ...bad)).code).toBe(2);
    }
  });
});
