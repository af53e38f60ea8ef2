import { describe, it } from 'vitest';
import { leafHash, leafOf } from '../../src/core/audit/index.js';
import { insertRelease } from '../../src/server/releases/releases.store.js';
import { Database, openDatabase, type Tx } from '../../src/server/platform/database/index.js';
import { STRICT } from '../../src/core/rollout/index.js';
import { AuditKey, AuditLog, AuditTree, Checkpoints } from '../../src/server/audit/index.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { startTestManager } from '../support/manager.js';
import { connectNode } from '../support/node-link.js';
import { secretsUnder } from '../support/secrets.js';
import { ann, aRelease, bytesOf, rolloutsOn } from '../support/rollouts.js';
import { compared, median } from './measure.js';

const NODES = 200;
const ROUNDS = 1_000;
const KINDS = [
  ['with', 'without'],
  ['without', 'with'],
] as const;

const quick = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 10)] ?? Number.NaN;

/**
 * A rollout command as an operator gives it: pause, then resume, each a transaction of its own that
 * decides, stores, tells and is audited. The baseline is the same without its audit entries.
 */
describe('one audit entry', () => {
  it('costs little of a rollout command (SQLite on disk)', { timeout: 300_000 }, async () => {
    const dir = makeTempDir();
    const database = await openDatabase({ url: null, dataDir: dir.path, log: silentLog });
    const rollouts = rolloutsOn(database);
    const nodes = await rollouts.enroll(NODES);
    const id = await rollouts.create({
      nodes,
      preset: { strategy: 'staged', percents: [10, 100], settleMs: 60_000, tolerance: STRICT },
    });
    const append = rollouts.audit.append.bind(rollouts.audit);
    const without = async (): Promise<void> => Promise.resolve();
    const times = { with: [] as number[], without: [] as number[] };
    const command = async (verb: 'pause' | 'resume'): Promise<number> => {
      const startedAt = performance.now();
      await rollouts.orchestrator.verb(id, { verb }, ann);
      return 1_000 * (performance.now() - startedAt);
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      // In turns, so that both meet the same disk and the same neighbours.
      for (const kind of KINDS[round % 2] ?? []) {
        rollouts.audit.append = kind === 'with' ? append : without;
        const spent = (await command('pause')) + (await command('resume'));
        if (round >= ROUNDS / 10) times[kind].push(spent / 2);
      }
    }
    rollouts.audit.append = append;
    compared('a rollout command, without and with its audit entry (median)', {
      unit: 'µs',
      baseline: ['without', median(times.without)],
      measured: ['with', median(times.with)],
    });
    // The quickest tenth says more on a machine that others use too.
    compared('the same, quickest tenth', {
      unit: 'µs',
      baseline: ['without', quick(times.without)],
      measured: ['with', quick(times.with)],
    });
    await rollouts.stop();
    await database.close();
    dir.remove();
  });

  it('costs little of a command over HTTP (SQLite on disk)', { timeout: 300_000 }, async () => {
    const manager = await startTestManager();
    const link = await connectNode(manager, await manager.node());
    await link.next('welcome');
    const { app } = manager.manager;
    const release = aRelease('2.0.0');
    await app.get(Database).transaction((tx) => insertRelease(tx, release));
    const { sha256 } = release.manifest.artifacts[0]!;
    const uploaded = await fetch(`${manager.url}/api/v1/blobs/sha256/${sha256}`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${manager.admin}`,
        'content-type': 'application/octet-stream',
      },
      body: bytesOf('2.0.0'),
    });
    if (!uploaded.ok) throw new Error(await uploaded.text());
    const made = await manager.call('groups.upgrade', {
      params: { id: 'grp_default' },
      body: { product: 'edge', version: '2.0.0', channel: 'stable' },
    });
    if (made.status !== 202) throw new Error(JSON.stringify(made.body));
    const params = { id: made.body.id };
    const audit = app.get(AuditLog);
    const append = audit.append.bind(audit);
    const without = async (): Promise<void> => Promise.resolve();
    const times = { with: [] as number[], without: [] as number[] };
    const command = async (name: 'rollouts.pause' | 'rollouts.resume'): Promise<number> => {
      const startedAt = performance.now();
      const { status, body } = await manager.call(name, { params });
      if (status !== 200) throw new Error(JSON.stringify(body));
      return 1_000 * (performance.now() - startedAt);
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const kind of KINDS[round % 2] ?? []) {
        audit.append = kind === 'with' ? append : without;
        const spent = (await command('rollouts.pause')) + (await command('rollouts.resume'));
        if (round >= ROUNDS / 10) times[kind].push(spent / 2);
      }
    }
    compared('a rollout command over HTTP (median)', {
      unit: 'µs',
      baseline: ['without', median(times.without)],
      measured: ['with', median(times.with)],
    });
    compared('the same, quickest tenth', {
      unit: 'µs',
      baseline: ['without', quick(times.without)],
      measured: ['with', quick(times.with)],
    });
    await link.close();
    await manager.stop();
  });

  it(
    'and its share of a checkpoint, which no command waits for',
    { timeout: 300_000 },
    async () => {
      const dir = makeTempDir();
      const database = await openDatabase({ url: null, dataDir: dir.path, log: silentLog });
      const clock = { now: () => Date.now() };
      const log = new AuditLog(clock);
      const tree = new AuditTree();
      const key = await AuditKey.open(
        { dataDir: dir.path, publicOrigin: 'http://127.0.0.1:1' },
        secretsUnder(),
      );
      const checkpoints = new Checkpoints(database, log, tree, key, clock, silentLog);
      const entry = {
        caller: ann,
        action: 'rollout.pause',
        targetKind: 'rollout',
        targetId: 'rol_00000000000000000000',
        groupId: 'grp_default',
        outcome: 'allowed',
        details: { version: '1.0.0', product: 'edge' },
      } as const;
      const each: number[] = [];
      for (let round = 0; round < 20; round += 1) {
        await database.transaction(async (tx: Tx) => {
          for (let i = 0; i < 1_000; i += 1) await log.append(tx, entry);
        });
        const startedAt = performance.now();
        await checkpoints.make();
        each.push(performance.now() - startedAt);
      }
      const [record] = await log.read(database.read, { before: null, limit: 1, groups: 'all' });
      if (record === undefined) throw new Error('no entry');
      const startedAt = performance.now();
      for (let i = 0; i < 1_000; i += 1) leafHash(leafOf(record));
      compared('one entry taken into the tree', {
        unit: 'µs',
        baseline: ['its leaf alone', performance.now() - startedAt],
        measured: ['read, hashed, stored, signed', median(each)],
      });
      await database.close();
      dir.remove();
    },
  );
});
