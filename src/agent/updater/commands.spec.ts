import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { obey } from '../obey.js';
import { NodeBench } from '../../../test/support/node-bench.js';

let node: NodeBench;
beforeEach(async () => {
  node = await NodeBench.make();
  await node.publish({ version: '1.0.0' });
  await node.publish({ version: '1.1.0' });
  await node.open();
});
afterEach(async () => {
  await node.remove();
});

const withdrawalOf = (commandId: string, generation: number) =>
  ({
    command_id: `wd_${commandId}`,
    generation,
    action: 'withdraw',
    withdraws: commandId,
  }) as const;

/** Lets the answers to what matches hang until the spec lets them go. */
function hold(part: string): { held: ServerResponse[]; release: () => void } {
  const held: ServerResponse[] = [];
  node.source.intercept = (request, response) => {
    if (request.url?.includes(part) !== true) return false;
    held.push(response);
    return true;
  };
  return {
    held,
    release: () => {
      node.source.intercept = () => false;
      for (const response of held.splice(0)) response.destroy();
    },
  };
}

describe('commands', () => {
  it('of the same id, given twice at once, run once and get one answer', async () => {
    const command = node.command('1.0.0');
    const answers = await Promise.all([1, 2, 3].map(() => node.updater.command(command)));
    expect(answers.every((answer) => answer.ok)).toBe(true);
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
    expect(await node.updater.command(command)).toEqual({ ok: true, isDuplicate: true });
    expect(node.types.filter((type) => type === 'upgrade_started')).toHaveLength(1);
  });

  it('that are given at once end on the newest, and the older is withdrawn', async () => {
    const [first, second] = [node.command('1.0.0'), node.command('1.1.0')];
    await Promise.all([node.updater.command(first), node.updater.command(second)]);
    expect(await node.outcomeOf(second.command_id)).toBe('succeeded');
    expect(node.version).toBe('1.1.0');
    const ends = node.told.filter((event) => event.command_id === first.command_id);
    expect(ends.map((event) => event.type)).toEqual(['upgrade_started', 'upgrade_withdrawn']);
  });

  it('that take the place of one whose release is still being fetched get their own', async () => {
    const { held, release } = hold('/1.0.0/');
    const [first, second] = [node.command('1.0.0'), node.command('1.1.0')];
    await node.updater.command(first);
    await node.until(() => {
      expect(held).toHaveLength(1);
    });
    await node.updater.command(second);
    expect(await node.outcomeOf(second.command_id)).toBe('succeeded');
    expect(node.version).toBe('1.1.0');
    release();
  });

  it.each(['after-download', 'after-extract'] as const)(
    'that come %s of another are not mistaken for it',
    async (point) => {
      await node.close();
      const [first, second] = [node.command('1.0.0'), node.command('1.1.0')];
      let taken: Promise<unknown> = Promise.resolve();
      await node.open({
        hit: (at) => {
          if (at !== point || node.state.generation >= second.generation) return;
          taken = node.updater.command(second);
        },
      });
      await node.updater.command(first);
      await node.until(() => {
        expect(node.updater.knows(second.command_id)).toBe(true);
      });
      await taken;
      expect(await node.outcomeOf(second.command_id)).toBe('succeeded');
      expect(node.version).toBe('1.1.0');
      await node.until(() => {
        expect(readdirSync(join(node.root, 'versions'))).toEqual(['1.1.0']);
      });
    },
  );

  it('are refused when they are older, or come while a version proves itself', async () => {
    const older = node.command('1.0.0');
    expect(await node.upgrade('1.0.0')).toBe('succeeded');
    expect(await node.updater.command(older)).toMatchObject({ code: 'command_stale' });
    const upgrade = node.upgrade('1.1.0');
    await node.until(() => {
      expect(node.state.job?.phase).toBe('probation');
    });
    expect(await node.upgrade('1.0.0')).toBe('upgrade_in_progress');
    expect(await upgrade).toBe('succeeded');
  });

  it('for another product than the one of the service are refused by name', async () => {
    const command = node.command('1.0.0', { product: 'gateway' });
    expect(await obey([node.updater], command)).toMatchObject({
      type: 'reject',
      error_code: 'command_unknown_service',
    });
    expect(node.types).toEqual([]);
  });
});

describe('a withdrawal', () => {
  it('ends a download in its middle, closes its connection, and leaves the service alone', async () => {
    await node.upgrade('1.0.0');
    const { held, release } = hold('/blobs/');
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(held).toHaveLength(1);
    });
    const closed = once(held[0]!, 'close');
    await node.updater.command(withdrawalOf(command.command_id, command.generation + 1));
    await closed;
    expect(await node.outcomeOf(command.command_id)).toBe('upgrade_withdrawn');
    expect([node.version, node.state.job]).toEqual(['1.0.0', null]);
    expect(node.types.at(-1)).toBe('upgrade_withdrawn');
    release();
  });

  it('of a staged version leaves nothing of it, and a permit that comes late does nothing', async () => {
    await node.upgrade('1.0.0');
    node.permitLeaseMs = null;
    const command = node.command('1.1.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state.job?.phase).toBe('staged');
    });
    await node.updater.command(withdrawalOf(command.command_id, command.generation + 1));
    // It answers the last question of this process.
    const { command_id } = command;
    const permit = { command_id, ask: node.permitsAsked, lease_ms: 5_000 };
    await node.updater.hear({ type: 'permit_granted', ...permit });
    expect(node.state).toMatchObject({ job: null, current: { version: '1.0.0' } });
    expect(readdirSync(join(node.root, 'versions'))).toEqual(['1.0.0']);
    expect(node.version).toBe('1.0.0');
  });

  it('after the swap changes nothing', async () => {
    const command = node.command('1.0.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state.job?.phase).toBe('probation');
    });
    const answer = await node.updater.command(withdrawalOf(command.command_id, 99));
    expect(answer).toEqual({ ok: true, isDuplicate: false });
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
  });
});

describe('a permit', () => {
  it('that runs out before it can be used is asked for again, and the agent stays awake', async () => {
    node.permitLeaseMs = -1;
    const command = node.command('1.0.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.permitsAsked).toBeGreaterThan(1);
    });
    expect(node.version).toBeNull();
    node.permitLeaseMs = 5_000;
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
  });
});

describe('a stop of the agent', () => {
  it('does not wait for a source that is silent', async () => {
    const { held, release } = hold('manifest.json');
    await node.updater.command(node.command('1.0.0'));
    await node.until(() => {
      expect(held).toHaveLength(1);
    });
    const startedAt = performance.now();
    await node.close();
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    release();
    await node.open();
    await node.until(() => {
      expect(node.version).toBe('1.0.0');
    });
  });
});
