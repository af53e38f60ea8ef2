import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeBench, serviceArchive } from '../../../test/support/node-bench.js';
import { programAt } from './run-hook.js';

let node: NodeBench;
beforeEach(async () => {
  node = await NodeBench.make();
});
afterEach(async () => {
  await node.remove();
});

/** A hook that writes down what it was told, then does this. */
function script(name: string, then: string): string {
  const path = join(node.folder, name);
  const told = `env | grep ^BELLWETHER_ | sort > ${path}.env; env | wc -l > ${path}.count`;
  writeFileSync(path, `#!/bin/sh\n${told}\n${then}\n`, { mode: 0o755 });
  chmodSync(path, 0o755);
  return path;
}

const hook = (name: string, then: string, timeout_secs = 5) => ({
  [name]: { command: [script(name, then)], timeout_secs },
});

const told = (name: string): string => {
  const path = join(node.folder, `${name}.env`);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};

async function installed(version = '1.0.0'): Promise<void> {
  await node.publish({ version });
  expect(await node.upgrade(version)).toBe('succeeded');
}

describe('the hooks of a service', () => {
  it('run in their order, and are told what goes on and nothing else', async () => {
    node.hooks = {
      ...hook('pre_stage', 'test ! -e versions/1.1.0'),
      ...hook('pre_swap', 'test -e versions/1.1.0 && test "$(readlink current)" != versions/1.1.0'),
      ...hook('post_swap', 'test "$(readlink current)" = versions/1.1.0'),
    };
    await node.publish({ version: '1.1.0' });
    await node.open();
    expect(await node.upgrade('1.1.0'), node.logged.join('\n')).toBe('succeeded');
    for (const name of ['pre_stage', 'pre_swap', 'post_swap']) {
      expect(told(name).trim().split('\n')).toEqual([
        'BELLWETHER_COMMAND_ID=cmd_00000001',
        'BELLWETHER_FROM_VERSION=',
        `BELLWETHER_HOOK=${name}`,
        'BELLWETHER_PRODUCT=edge',
        `BELLWETHER_ROOT=${node.root}`,
        'BELLWETHER_SERVICE=edge',
        'BELLWETHER_TO_VERSION=1.1.0',
      ]);
      // Besides those, PATH, LANG and what the shell itself adds.
      expect(Number(readFileSync(join(node.folder, `${name}.count`), 'utf8'))).toBeLessThan(14);
    }
  });

  it.each([
    ['pre_stage', 'upgrade_stage_failed'],
    ['pre_swap', 'upgrade_swap_failed'],
  ])('%s that fails refuses the upgrade, and the service goes on', async (name, type) => {
    await node.open();
    await installed();
    const { pid } = node.driver.status();
    await node.close();
    node.hooks = hook(name, 'echo not today; exit 3');
    await node.open();
    await node.publish({ version: '1.1.0' });
    expect(await node.upgrade('1.1.0')).toBe('upgrade_hook_failed');
    expect([node.version, node.driver.status().pid]).toEqual(['1.0.0', pid]);
    expect(node.told.at(-1)).toMatchObject({
      type,
      severity: 'warning',
      message: `hook ${name}: exit code 3: not today`,
      details: {
        error_code: 'upgrade_hook_failed',
        hook: name,
        exit_code: 3,
        output: 'not today',
      },
    });
  });

  it('that takes too long is ended with all that it started', async () => {
    const left = join(node.folder, 'left');
    node.hooks = hook('pre_swap', `(sleep 1.5; touch ${left}) & sleep 30`, 0.3);
    await node.publish({ version: '1.0.0' });
    await node.open();
    expect(await node.upgrade('1.0.0')).toBe('upgrade_hook_failed');
    expect(node.told.at(-1)?.message).toMatch(/^hook pre_swap: no end within 0.3 s/);
    await new Promise((resolve) => setTimeout(resolve, 1_600));
    expect(existsSync(left)).toBe(false);
  });

  it('post_swap that fails counts as unhealthy: the version before comes back', async () => {
    await node.open();
    await installed();
    await node.close();
    node.hooks = {
      ...hook('post_swap', 'echo wrong answer; exit 1'),
      ...hook('pre_rollback', 'exit 9'),
    };
    await node.open();
    await node.publish({ version: '1.1.0' });
    expect(await node.upgrade('1.1.0')).toBe('upgrade_hook_failed');
    expect(node.version).toBe('1.0.0');
    expect(node.driver.status().running).toBe(true);
    const { details } = node.told.at(-1) ?? {};
    expect(details).toMatchObject({ hook: 'post_swap', output: 'wrong answer' });
    // The hook before the rollback failed too: that is told, and changed nothing.
    const warning = node.told.find(({ type }) => type === 'upgrade_hook_failed');
    expect(warning).toMatchObject({ severity: 'warning', details: { hook: 'pre_rollback' } });
    expect(told('pre_rollback')).toContain('BELLWETHER_FROM_VERSION=1.1.0\n');
    expect(told('pre_rollback')).toContain('BELLWETHER_TO_VERSION=1.0.0\n');
  });

  it('post_swap is waited for, and begun again by the next agent', async () => {
    const gate = join(node.folder, 'gate');
    node.hooks = hook('post_swap', `until test -e ${gate}; do sleep 0.05; done`, 60);
    await node.publish({ version: '1.0.0' });
    await node.open();
    const command = node.command('1.0.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(told('post_swap')).not.toBe('');
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(node.state.job?.phase).toBe('probation');
    await node.close();
    rmSync(join(node.folder, 'post_swap.env'));
    await node.open();
    await node.until(() => {
      expect(told('post_swap')).not.toBe('');
    });
    writeFileSync(gate, '');
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
  });

  it('pre_swap that outlives its permit is not run again for the next one', async () => {
    const runs = join(node.folder, 'runs');
    node.hooks = hook('pre_swap', `echo once >> ${runs}; sleep 0.8`);
    node.permitLeaseMs = 300;
    await node.publish({ version: '1.0.0' });
    await node.open();
    expect(await node.upgrade('1.0.0')).toBe('succeeded');
    expect(readFileSync(runs, 'utf8')).toBe('once\n');
    expect(node.permitsAsked).toBeGreaterThanOrEqual(2);
  });

  it('what others could change is not run', async () => {
    await node.open();
    const program = script('pre_swap', 'exit 0');
    expect(await programAt(program)).toEqual({ real: program });
    chmodSync(program, 0o775);
    expect(await programAt(program)).toEqual({ problem: 'can be changed by others (chmod go-w)' });
    chmodSync(program, 0o644);
    expect(await programAt(program)).toEqual({ problem: 'cannot be run (chmod +x)' });
    chmodSync(program, 0o755);
    const open = join(node.folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    symlinkSync(program, join(open, 'link'));
    expect(await programAt(join(open, 'link'))).toMatchObject({
      problem: expect.stringContaining(open) as string,
    });
    expect(await programAt(join(node.folder, 'none'))).toEqual({ problem: 'is missing' });
    expect(await programAt(node.folder)).toEqual({ problem: 'is not a file' });
  });
});

describe('a dry run', () => {
  it('goes through every check, says what would happen, and touches nothing', async () => {
    await node.open();
    await installed();
    node.policy(['enabled = true', 'dry_run = true']);
    await node.publish({ version: '1.1.0' });
    const asked = node.permitsAsked;
    expect(await node.upgrade('1.1.0')).toBe('upgrade_dry_run');
    expect(node.types).toContain('upgrade_staged');
    expect(node.told.at(-1)).toMatchObject({
      type: 'upgrade_refused',
      severity: 'info',
      message: 'dry run: 1.1.0 passed every check and was staged; it would replace 1.0.0',
    });
    expect([node.version, node.permitsAsked]).toEqual(['1.0.0', asked]);
    await node.until(() => {
      expect(existsSync(join(node.root, 'versions', '1.1.0'))).toBe(false);
    });
  });

  it('refuses what would be refused, with the same code', async () => {
    node.policy(['enabled = true', 'dry_run = true']);
    await node.open();
    const archive = await serviceArchive('1.1.0');
    await node.publish({ version: '1.1.0', archive, manifest: { version: '1.2.0' } });
    expect(await node.upgrade('1.1.0')).toBe('upgrade_manifest_invalid');
  });
});

describe('the maintenance window of the policy', () => {
  const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
  /** One of ten minutes, that begins so many minutes from now, in UTC. */
  function windowIn(minutes: number): string {
    const at = new Date(Date.now() + minutes * 60_000);
    const start = at.toISOString().slice(11, 16);
    const day = DAYS[at.getUTCDay()] ?? '';
    return `window = [{ days = ["${day}"], start = "${start}", duration_minutes = 10 }]`;
  }

  it('outside of it a version is staged and waits, without asking for a permit', async () => {
    node.policy(['enabled = true', windowIn(60)]);
    await node.publish({ version: '1.0.0' });
    await node.open();
    const command = node.command('1.0.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.types).toContain('upgrade_staged');
    });
    const staged = node.told.find(({ type }) => type === 'upgrade_staged');
    expect(staged?.message).toMatch(
      /^1\.0\.0 staged; it waits: the maintenance window .* opens at/,
    );
    expect(staged?.details['waits_for']).toBe('window');
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect([node.permitsAsked, node.version]).toEqual([0, null]);
    node.policy(['enabled = true', windowIn(-2)]);
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
  });

  it('outside of it a person who wants it now has it, with a permit and over a restart', async () => {
    node.policy(['enabled = true', windowIn(60)]);
    await node.publish({ version: '1.0.0' });
    await node.open();
    node.permitLeaseMs = null;
    const command = node.command('1.0.0');
    await node.updater.command(command);
    await node.until(() => {
      expect(node.state.job?.phase).toBe('staged');
    });
    await node.until(async () => {
      const said = await node.updater.byHand({ do: 'look', now: false });
      expect(said).toBe('1.0.0 is under way (staged)');
    });
    const said = await node.updater.byHand({ do: 'look', now: true });
    expect(said).toBe('1.0.0 is under way (staged); it does not wait for the local window');
    await node.until(() => {
      expect(node.permitsAsked).toBeGreaterThan(0);
    });
    expect(node.version).toBeNull();
    await node.close();
    node.permitLeaseMs = 5_000;
    await node.open();
    expect(await node.outcomeOf(command.command_id)).toBe('succeeded');
    const swapping = node.told.find(({ type }) => type === 'upgrade_swapping');
    expect(swapping?.details).toMatchObject({ window_waived: true });
    // It was said for that one: the next version waits for the window.
    await node.publish({ version: '1.1.0' });
    const asked = node.permitsAsked;
    await node.updater.command(node.command('1.1.0'));
    await node.until(() => {
      expect(node.types.filter((type) => type === 'upgrade_staged')).toHaveLength(2);
    });
    expect([node.permitsAsked, node.state.job?.window_waived]).toEqual([asked, undefined]);
  });

  it('inside of it the time of the order still counts', async () => {
    node.policy(['enabled = true', windowIn(-2)]);
    await node.publish({ version: '1.0.0' });
    await node.open();
    const apply_after = new Date(Date.now() + 3_600_000).toISOString();
    await node.updater.command(node.command('1.0.0', { apply_after }));
    await node.until(() => {
      expect(node.state.job?.phase).toBe('staged');
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(node.permitsAsked).toBe(0);
  });

  it('of a zone that nobody knows makes the policy unreadable: everything is refused', async () => {
    node.policy([
      'enabled = true',
      'window = [{ days = ["mon"], start = "02:00", duration_minutes = 60, time_zone = "Mars/Olympus" }]',
    ]);
    await node.publish({ version: '1.0.0' });
    await node.open();
    expect(await node.upgrade('1.0.0')).toBe('upgrade_policy_invalid');
    expect(node.told.at(-1)?.message).toContain('"Mars/Olympus" is not a time zone');
  });
});
