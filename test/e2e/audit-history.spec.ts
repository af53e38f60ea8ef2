import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditMemory, proofFetcher } from '../../src/agent/audit-memory.js';
import { runProgram } from '../../src/cli/program.js';
import { RECORD_FIELDS } from '../../src/core/audit/index.js';
import { Segments } from '../../src/server/audit/index.js';
import { Database } from '../../src/server/platform/index.js';
import { makeTempDir } from '../support/databases.js';
import { startTestManager, type TestManager, type TestNode } from '../support/manager.js';
import { connectNode } from '../support/node-link.js';
import { recordingTerminal } from '../support/recording-terminal.js';

/** A manager, an auditor with the command line, and a node that remembers. */
describe('the history of a manager', () => {
  let manager: TestManager;
  let node: TestNode;
  const dir = makeTempDir();
  const file = (name: string): string => join(dir.path, name);
  const told: unknown[] = [];

  const run = async (...words: string[]) => {
    const terminal = recordingTerminal({
      BELLWETHER_MANAGER: manager.url,
      BELLWETHER_TOKEN: manager.admin,
    });
    const code = await runProgram(words, terminal);
    return { code, out: terminal.outText(), err: terminal.errText() };
  };
  /** Offline: no manager is known. */
  const offline = async (...words: string[]) => {
    const terminal = recordingTerminal({ BELLWETHER_MANAGER: 'http://127.0.0.1:1' });
    const code = await runProgram(words, terminal);
    return { code, out: terminal.outText(), err: terminal.errText() };
  };
  const verify = (path: string, ...checkpoints: string[]) =>
    offline(
      'audit',
      'verify',
      path,
      '--public-key',
      file('key'),
      ...checkpoints.flatMap((name) => ['--checkpoint', file(name)]),
    );

  /** What the node hears when it connects. */
  const welcomed = async (): Promise<string | undefined> => {
    const link = await connectNode(manager, node);
    const { audit_checkpoint: note } = await link.next('welcome');
    await link.close();
    return note;
  };
  const remember = async (): Promise<void> => {
    const { body } = await manager.call('audit.key');
    const memory = new AuditMemory({
      dir: dir.path,
      verifierKey: body.verifier_key,
      fetchProof: proofFetcher({
        reach: {},
        origin: () => manager.url,
        manager: manager.url,
        nodeId: node.id,
        key: node.key,
        // Past the start of the manager, before which it takes no token.
        now: () => manager.clock.now() + 1_000,
      }),
      report: async ({ details }) => void told.push(details['error_code']),
      log: () => undefined,
    });
    await memory.heard((await welcomed()) ?? '');
  };

  beforeAll(async () => {
    manager = await startTestManager();
    node = await manager.node();
    for (const name of ['east', 'west', 'north']) await manager.group(name);
  });
  afterAll(async () => {
    await manager.stop();
    dir.remove();
  });

  it('is exported, and verified offline by the command line', async () => {
    const key = await run('audit', 'key');
    writeFileSync(file('key'), key.out);
    const made = await run('audit', 'export', file('log'), '--checkpoint', file('c1'));
    expect([made.code, made.err]).toEqual([0, '']);
    const good = await verify(file('log'), 'c1');
    expect(good).toMatchObject({ code: 0, err: '' });
    expect(good.out).toMatch(/^Entries 1 to 6: as signed by /);
    const again = await run('audit', 'export', file('log'));
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('local_file_failed')]);
  });

  it('shows every single change to whoever has a checkpoint', async () => {
    const lines = readFileSync(file('log'), 'utf8').trimEnd().split('\n');
    const found: string[] = [];
    const tries: string[] = [];
    const attempt = async (what: string, changed: readonly string[]): Promise<void> => {
      tries.push(what);
      writeFileSync(file('forged'), `${changed.join('\n')}\n`);
      const { code, err } = await verify(file('forged'), 'c1');
      if (code === 1 && err.includes('audit_verification_failed')) found.push(what);
    };
    for (const [at, line] of lines.entries()) {
      if (at === 0) continue;
      const entry = JSON.parse(line) as Record<string, unknown>;
      for (const field of RECORD_FIELDS) {
        const value = typeof entry[field] === 'number' ? 99 : `${JSON.stringify(entry[field])}x`;
        await attempt(
          `${at} ${field}`,
          lines.with(at, JSON.stringify({ ...entry, [field]: value })),
        );
      }
      await attempt(`${at} dropped`, lines.toSpliced(at, 1));
      await attempt(`${at} doubled`, lines.toSpliced(at, 0, line));
      const other = at === 1 ? 2 : 1;
      await attempt(`${at} moved`, lines.with(at, lines[other] ?? '').with(other, line));
    }
    await attempt('cut', lines.slice(0, -1));
    await attempt('one more', [...lines, (lines.at(-1) ?? '').replace('"id":6', '"id":7')]);
    await attempt('headless', lines.slice(1));
    await attempt('empty', []);
    await attempt('too long', [...lines, 'x'.repeat(100_000)]);
    await attempt(
      'carriage returns',
      lines.map((line) => `${line}\r`),
    );
    expect(tries.filter((what) => !found.includes(what))).toEqual([]);
  });

  it('refuses keys, checkpoints and files that are not what they should be', async () => {
    const stranger = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
    const other = await offline(
      'audit',
      'verify',
      file('log'),
      '--public-key',
      stranger,
      '--checkpoint',
      file('c1'),
    );
    expect([other.code, other.err]).toEqual([
      1,
      expect.stringContaining('audit_checkpoint_invalid'),
    ]);
    expect((await verify(file('log'), 'log')).code).toBe(1);
    expect((await verify(file('nothing'), 'c1')).code).toBe(1);
    const bad = await offline(
      'audit',
      'verify',
      file('log'),
      '--public-key',
      file('c1'),
      '--checkpoint',
      file('c1'),
    );
    expect(bad.code).toBe(2);
  });

  it('is followed by nodes, with a proof from the manager', async () => {
    await remember();
    const first = readFileSync(file('audit-checkpoint.txt'), 'utf8');
    expect(first).toBe(readFileSync(file('c1'), 'utf8'));
    await manager.group('south');
    await run('audit', 'export', file('log2'), '--checkpoint', file('c2'));
    await remember();
    expect(readFileSync(file('audit-checkpoint.txt'), 'utf8')).toBe(
      readFileSync(file('c2'), 'utf8'),
    );
    expect(told).toEqual([]);
    expect((await verify(file('log2'), 'c1', 'c2')).code).toBe(0);

    const compared = ['audit', 'compare', file('c1'), file('c2'), '--public-key', file('key')];
    expect((await offline(...compared)).err).toContain('audit_proof_missing');
    const proof = await run('audit', 'consistency', '6', '7', '-o', 'json');
    writeFileSync(file('proof'), proof.out);
    const same = await offline(...compared, '--proof', file('proof'));
    expect([same.code, same.out]).toEqual([
      0,
      'One history: the log of 7 entries holds that of 6.\n',
    ]);
  });

  it('goes on after old entries were sealed, from the files', async () => {
    const sealed = await manager.manager.app.get(Segments).seal(manager.clock.now());
    expect(sealed).toMatchObject({ firstId: 1, lastId: 7 });
    await run('audit', 'export', file('log3'), '--checkpoint', file('c3'));
    const segment = ['--segment', sealed?.file ?? ''];
    const key = ['--public-key', file('key')];
    const all = [
      '--checkpoint',
      file('c1'),
      '--checkpoint',
      file('c2'),
      '--checkpoint',
      file('c3'),
    ];
    const whole = await offline('audit', 'verify', file('log3'), ...segment, ...key, ...all);
    expect([whole.code, whole.err]).toEqual([0, '']);
    const rest = await verify(file('log3'), 'c3');
    expect(rest.out).toContain('Entries 1 to 7 lie in files that were not given');
    const alone = await offline(
      'audit',
      'verify',
      sealed?.file ?? '',
      ...key,
      '--checkpoint',
      `${sealed?.file ?? ''}.checkpoint`,
    );
    expect(alone.code).toBe(0);
    await remember();
    expect(told).toEqual([]);
  });

  it('that is rewritten by the owner of database and key is found by node and auditor', async () => {
    // Everything that such an owner can do: the locks go, one entry changes, the tree is made anew.
    const database = manager.manager.app.get(Database);
    await manager.group('last');
    await database.transaction(async (tx) => {
      for (const table of [
        'audit_entries',
        'audit_head',
        'audit_tree',
        'audit_nodes',
        'audit_checkpoints',
      ]) {
        for (const verb of ['update', 'delete']) await tx.run(`DROP TRIGGER ${table}_no_${verb}`);
      }
      await tx.run(`UPDATE audit_entries SET actor_name = 'somebody else' WHERE id = 8`);
      await tx.run('DELETE FROM audit_checkpoints WHERE size > 7');
      await tx.run('DELETE FROM audit_nodes WHERE (position + 1) * (1 << level) > 7');
      await tx.run('UPDATE audit_tree SET size = 7');
    });
    await run('audit', 'export', file('log4'), '--checkpoint', file('c4'));
    // It is whole by itself, and signed with the real key …
    expect((await verify(file('log4'), 'c4')).code).toBe(0);
    // … but not for those who were told before.
    expect((await verify(file('log4'), 'c3', 'c4')).err).toContain('audit_verification_failed');
    const proof = await run('audit', 'consistency', '8', '9', '-o', 'json');
    writeFileSync(file('proof4'), proof.out);
    const compared = ['audit', 'compare', file('c3'), file('c4'), '--public-key', file('key')];
    const forked = await offline(...compared, '--proof', file('proof4'));
    expect([forked.code, forked.err]).toEqual([1, expect.stringContaining('audit_history_forked')]);
    await remember();
    expect(told).toEqual(['audit_history_forked']);
    expect(readFileSync(file('audit-checkpoint.txt'), 'utf8')).toBe(
      readFileSync(file('c3'), 'utf8'),
    );
  });

  it('with two roots for one size is told by both commands', async () => {
    const database = manager.manager.app.get(Database);
    await database.transaction(async (tx) => {
      await tx.run(`UPDATE audit_entries SET actor_name = 'a third' WHERE id = 8`);
      await tx.run('DELETE FROM audit_checkpoints WHERE size > 7');
      await tx.run('DELETE FROM audit_nodes WHERE (position + 1) * (1 << level) > 7');
      await tx.run('UPDATE audit_tree SET size = 7');
    });
    await run('audit', 'export', file('log5'), '--checkpoint', file('c5'));
    const two = await offline(
      'audit',
      'compare',
      file('c4'),
      file('c5'),
      '--public-key',
      file('key'),
    );
    expect([two.code, two.err]).toEqual([
      1,
      expect.stringContaining('two roots for the first 9 entries'),
    ]);
    expect((await verify(file('log5'), 'c4', 'c5')).err).toContain('audit_history_forked');
  });
});
