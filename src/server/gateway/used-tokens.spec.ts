import { afterEach, expect, it, vi } from 'vitest';
import { describeOnBothDatabases, silentLog } from '../../../test/support/databases.js';
import { makeClock } from '../../../test/support/manager.js';
import { MINUTE_MS, SECOND_MS } from '../../core/kernel/index.js';
import type { Database } from '../platform/index.js';
import { UsedTokens } from './used-tokens.js';

describeOnBothDatabases('a node token', (openTestDatabase) => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('counts once, however many ask, and after the process that saw it has gone', async () => {
    const database = await openTestDatabase();
    const clock = makeClock();
    const soon = clock.now() + MINUTE_MS;
    const before = new UsedTokens(database, clock, silentLog);
    const asked = ['a', 'a', 'b', 'a'].map((id) => before.take(id, soon));
    expect(await Promise.all(asked)).toEqual([true, false, true, false]);
    // Nothing of the first one is left but what it wrote.
    const after = new UsedTokens(database, clock, silentLog);
    expect(await Promise.all(['b', 'c'].map((id) => after.take(id, soon)))).toEqual([false, true]);
  });

  it('is remembered until it has expired, and no longer', async () => {
    const database = await openTestDatabase();
    const clock = makeClock();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const tokens = new UsedTokens(database, clock, silentLog);
    tokens.onModuleInit();
    await tokens.take('short', clock.now() + 30 * SECOND_MS);
    await tokens.take('long', clock.now() + 90 * SECOND_MS);
    clock.advance(MINUTE_MS);
    vi.advanceTimersByTime(MINUTE_MS);
    await expect.poll(() => rememberedIn(database)).toEqual(['long']);
    tokens.onApplicationShutdown();
  });
});

const rememberedIn = async (database: Database): Promise<string[]> =>
  (await database.read.all<{ id: string }>('SELECT id FROM used_node_tokens')).map(({ id }) => id);
