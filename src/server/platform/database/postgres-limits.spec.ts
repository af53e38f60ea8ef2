import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Wire } from '../../../../test/chaos/wire.js';
import { makeMigratedPostgres, type TestPostgres } from '../../../../test/support/databases.js';
import type { Engine, EngineTx } from './engine.js';
import { openPostgres, type Limits } from './postgres-engine.js';

let postgres: TestPostgres;
let wire: Wire;
/** One that may stand still, behind a wire, and one that has nothing to do with it. */
let still: Engine;
let other: Engine;

const open = (url: string, limits: Limits): Promise<Engine> =>
  openPostgres({ url, passwordFile: null, caFile: null }, () => undefined, limits);

beforeAll(async () => {
  postgres = await makeMigratedPostgres();
  wire = await Wire.to(Number(new URL(postgres.url).port));
});
afterAll(async () => {
  await wire.stop();
  await postgres.drop();
});

const openBoth = async (limits: Limits): Promise<void> => {
  const behindWire = new URL(postgres.url);
  behindWire.port = String(wire.port);
  still = await open(behindWire.href, limits);
  other = await open(postgres.url, limits);
};
afterEach(async () => {
  wire.mend();
  await still.close();
  await other.close();
});

const touch = async (tx: EngineTx): Promise<void> => {
  await tx.run("UPDATE node_groups SET name = name WHERE id = 'grp_default'");
};
const touchAlone = async (engine: Engine): Promise<void> => {
  const tx = await engine.begin();
  await touch(tx);
  await tx.commit();
};

describe('a manager that stands still', () => {
  beforeEach(() => openBoth({ idleMs: 500, answerMs: 20_000 }));

  it('in the middle of a transaction loses it, and what it had locked', async () => {
    const lost = await still.begin();
    await touch(lost);
    await touchAlone(other);
    await sleep(100);
    const error = await lost.commit().catch((thrown: unknown) => thrown);
    await lost.rollback();
    expect(still.isOutage(error), String(error)).toBe(true);
    await touchAlone(still);
  });

  it('loses a lock that it keeps as long as it moves', async () => {
    const free = await still.lock(77);
    let isMine = false;
    const mine = other.lock(77).then((freeMine) => {
      isMine = true;
      return freeMine;
    });
    await sleep(1_500);
    expect(isMine).toBe(false);
    wire.hold('there');
    const freeMine = await mine;
    wire.mend();
    await free();
    await freeMine();
    // And nobody is left with it.
    await (
      await still.lock(77)
    )();
  });
});

describe('a server that nothing is heard of', () => {
  beforeEach(() => openBoth({ idleMs: 20_000, answerMs: 500 }));

  it('is given up, in the middle of a transaction and outside, and used again when it is back', async () => {
    const tx = await still.begin();
    await touch(tx);
    wire.hold('back');
    // The second one of the transaction goes behind the first, which is never answered.
    const asked = [
      ...[touch(tx), touch(tx)],
      ...[still.read.get('SELECT 1 AS one'), still.begin()],
    ];
    for (const one of await Promise.allSettled(asked)) {
      const error = one.status === 'rejected' ? (one.reason as unknown) : null;
      expect(still.isOutage(error), String(error)).toBe(true);
    }
    await tx.rollback();
    wire.mend();
    await touchAlone(still);
    await touchAlone(other);
  });
});
