import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentAtHand } from '../support/agent/agent-at-hand.js';
import { eventually } from '../support/fleet.js';

/** What a person on the node can do, with a real agent, its real command line, and a real manager. */
describe('the commands of the agent', () => {
  const at = new AgentAtHand();
  beforeAll(() => at.start(), 240_000);
  afterAll(() => at.stop(), 60_000);

  it('status says what runs, how the manager is reached, and what counts', async () => {
    const found = await at.status();
    expect(found).toMatchObject({
      link: 'connected',
      link_transport: 'socket',
      link_manager: at.manager.url,
      up_to_date: true,
      services: [{ version: at.current(), target: null, enabled: true, pin: null, problems: [] }],
    });
    const words = await at.done('status', '--is-up-to-date');
    expect(words).toMatch(/link {6}connected since \S+ by socket/);
    expect(words).toMatch(/last {6}1\.2\.0 succeeded at/);
    expect(words).toMatch(/by hand {3}nothing is held up/);
    expect(words).toMatch(/policy {4}channels stable/);
  });

  it.each([
    [['pin'], /pin needs a VERSION/],
    [['pin', '../etc'], /not a version/],
    [['pin', '1.0.0', 'edgy'], /no service edgy; it has: edge/],
    [['pin', '--current', 'edge', 'more'], /more is too much/],
    [['rolback'], /did you mean rollback/],
    [['update', '--force'], /update knows no option --force/],
    [['enable', 'edge', '--service', 'other'], /two services/],
    [['decommission'], /say --yes/],
    [['diagnose', 'edge'], /edge is too much/],
  ])('%j is wrong usage and changes nothing', async (words, message) => {
    const { code, err } = await at.cli(...words);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(existsSync(join(at.agent.root, 'control.json'))).toBe(false);
  });

  it('pin keeps every other version away, is seen by the manager, and ends with unpin', async () => {
    const before = at.current();
    expect(await at.done('pin', '--current')).toContain(`${before} and no other version`);
    await eventually(async () => {
      const { body } = await at.manager.call('events.list', { query: { limit: 1000 } });
      expect(body.items.map(({ message }) => message).join()).toContain(
        `edge is pinned to ${before}`,
      );
    });
    await at.tells({ enabled: true, pin: before });
    const version = await at.nextVersion();
    // The manager knows, and does not even ask.
    const { status: code, body } = await at.manager.call('nodes.upgrade', {
      params: { id: at.agent.nodeId },
      body: { version, product: 'edge' },
    });
    expect(code).toBe(409);
    expect(body).toMatchObject({
      code: 'rollout_empty',
      detail: expect.stringContaining('1 pinned_by_hand') as string,
    });
    expect(await at.agent.version()).toBe(before);
    expect(await at.done('status')).toContain(`pinned to ${before}`);
    await at.done('pin', version, 'edge');
    await at.tells({ enabled: true, pin: version });
    await at.ends(await at.upgrade(version), { state: 'succeeded' });
    expect(await at.done('unpin', 'edge')).toContain('any version that the policy allows');
    await at.tells(undefined);
    await at.install();
  }, 240_000);

  it('disable lets nothing come until enable, also over a restart of the agent', async () => {
    const before = at.current();
    await at.agent.kill();
    expect(await at.done('disable')).toContain('counts from its next start');
    // The manager does not know yet, and orders it: the node refuses, and is left out.
    const { id, version } = await at.next();
    at.agent.start();
    await at.ends(id, { state: 'skipped', reason: 'held_on_node', error_code: 'upgrade_disabled' });
    expect(at.current()).toBe(before);
    expect(await at.done('status')).toContain('upgrades are switched off');
    await at.done('enable');
    await at.tells(undefined);
    await at.ends(await at.upgrade(version), { state: 'succeeded' });
  }, 240_000);

  it('a switch that others could write lets nothing come, and no command mends it silently', async () => {
    const path = join(at.agent.root, 'control.json');
    await at.agent.kill();
    chmodSync(path, 0o666);
    expect((await at.cli('enable')).code).toBe(78);
    expect((await at.cli('policy', 'check')).code).toBe(78);
    expect((await at.status()).services[0]?.problems[0]).toContain('can be changed by others');
    // Ordered before the manager can know that it is in vain.
    const { id, version } = await at.next();
    at.agent.start();
    await at.ends(id, { state: 'failed', error_code: 'upgrade_policy_invalid' });
    rmSync(path);
    await at.tells(undefined);
    await at.ends(await at.upgrade(version), { state: 'succeeded' });
  }, 180_000);

  it('a configuration that others could write is refused, and a hook that they could is told', async () => {
    const file = join(at.dir, 'agent.toml');
    chmodSync(file, 0o664);
    for (const words of [['policy', 'check'], ['verify'], ['run'], ['status']]) {
      const { code, err } = await at.cli(...words);
      expect([code, err]).toEqual([
        78,
        expect.stringContaining(`config_invalid: ${file} can be changed by others`),
      ]);
    }
    chmodSync(file, 0o640);
    await at.done('policy', 'check');
    const toml = readFileSync(file, 'utf8');
    const hook = join(at.folder.path, 'hook');
    writeFileSync(file, `${toml}\n[services.hooks]\npre_swap = { command = ["${hook}"] }\n`);
    expect(await at.cli('policy', 'check')).toMatchObject({
      code: 78,
      err: expect.stringContaining(`edge: hook pre_swap: ${hook} is missing`) as string,
    });
    writeFileSync(hook, '#!/bin/sh\n', { mode: 0o755 });
    await at.done('policy', 'check');
    chmodSync(hook, 0o777);
    expect((await at.cli('policy', 'check')).err).toContain('can be changed by others');
    expect((await at.cli('verify', 'edge')).out).toContain('hook pre_swap');
    writeFileSync(file, toml);
    await at.done('policy', 'check');
  }, 60_000);

  it('manual_only stages, waits over a kill, and goes on at apply', async () => {
    expect((await at.cli('apply')).code).toBe(5);
    at.policy('manual_only = true\nboot_health_window_secs = 1');
    const { id, version } = await at.next();
    await at.ends(id, { state: 'staged' });
    await at.agent.kill();
    expect(await at.cli('apply', 'edge')).toMatchObject({ code: 4 });
    at.agent.start();
    await eventually(async () => {
      const found = await at.status();
      expect(found.link).toBe('connected');
      expect(found.services[0]?.target).toMatchObject({ phase: 'staged', version });
      expect(found.services[0]?.target?.waits_for).toContain('apply edge');
    });
    expect((await at.cli('status', '--is-up-to-date')).code).toBe(6);
    expect(await at.done('apply')).toContain(`${version} is let go`);
    await at.ends(id, { state: 'succeeded' });
    await at.runs(version);
  }, 240_000);

  it('a version that was cancelled while it waited is not let go', async () => {
    const { id } = await at.next();
    await at.ends(id, { state: 'staged' });
    await at.manager.call('rollouts.cancel', { params: { id } });
    await eventually(async () => {
      expect(await at.cli('apply', 'edge')).toMatchObject({ code: 5 });
    });
    at.policy('boot_health_window_secs = 1');
  }, 180_000);

  it('many commands at once leave whole files', async () => {
    const words = ['pin 9.0.0 edge', 'disable', 'enable', 'unpin', 'status', 'update'];
    const all = await Promise.all([...words, ...words].map((line) => at.cli(...line.split(' '))));
    expect(all.map(({ code }) => code)).toEqual(all.map(() => 0));
    await at.done('unpin');
    await at.done('enable');
    expect((await at.status()).services[0]).toMatchObject({
      enabled: true,
      pin: null,
      problems: [],
    });
    const left = readdirSync(at.agent.root).filter((name) => /lock|tmp|draft/.test(name));
    // That one the agent holds while it runs.
    expect(left).toEqual(['root.lock']);
  }, 180_000);

  it('verify finds what was changed in an installed version', async () => {
    await at.install();
    expect(await at.done('verify')).toMatch(/edge: fine: policy, links and markers/);
    const tree = join(at.agent.root, 'current');
    chmodSync(join(tree, 'release.json'), 0o4666);
    symlinkSync('/etc/passwd', join(tree, 'leak'));
    mkdirSync(join(at.agent.root, 'versions', '7.0.0.partial'));
    const { code, out } = await at.cli('verify', 'edge');
    expect(code).toBe(1);
    expect(out).toContain('runs as another user');
    expect(out).toContain('leads out of the version');
    expect(out).toContain('half a version');
    chmodSync(join(tree, 'release.json'), 0o644);
    rmSync(join(tree, 'leak'));
    rmSync(join(at.agent.root, 'versions', '7.0.0.partial'), { recursive: true });
    await at.done('verify');
  }, 180_000);

  it('diagnose tells what helps and nothing that is secret', async () => {
    const canary = 'cAnArY0123456789';
    const log = join(at.agent.root, 'log', 'service.log');
    appendFileSync(log, `a line that helps\nlogin with password=${canary}\nBearer ${canary}\n`);
    appendFileSync(log, `https://admin:${canary}@db.example.com/?token=${canary}\n`);
    const out = join(at.folder.path, 'bundle.json');
    await at.done('diagnose', '--out', out);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect((await at.cli('diagnose', '--out', out)).code).toBe(1);
    const text = readFileSync(out, 'utf8');
    const key = readFileSync(join(at.dir, 'node.key'), 'utf8').split('\n')[1] ?? 'none';
    expect(key.length).toBeGreaterThan(20);
    for (const secret of [canary, key]) expect(text).not.toContain(secret);
    expect(JSON.parse(text)).toMatchObject({
      schema: 'bellwether.diagnosis.v1',
      link: { state: 'connected' },
      status: { services: [{ version: at.current() }] },
      config: { services: [{ env: ['PORT', 'PATH'] }] },
    });
    expect(text).toContain('a line that helps');
  }, 180_000);

  it('update --now looks at once; without a manager it says so, without an agent too', async () => {
    expect(await at.done('update', '--now', 'edge')).toContain('the manager is connected');
    expect(await at.done('update')).toContain(`edge: ${at.current()} runs`);
    await at.agent.kill();
    const file = join(at.dir, 'agent.toml');
    const toml = readFileSync(file, 'utf8');
    // A port where nobody can listen: privileged, and of no service.
    writeFileSync(file, `manager_urls = ["http://127.0.0.1:1"]\n${toml}`);
    at.agent.start();
    // The agent runs and answers; it is the manager that does not.
    await eventually(async () => {
      const { code, err } = await at.cli('update', '--now', 'edge');
      expect([code, err]).toEqual([3, expect.stringContaining('the manager is not reached')]);
    }, 60_000);
    expect(await at.done('update')).toContain('the agent goes on trying');
    await at.agent.kill();
    writeFileSync(file, toml);
    for (const words of [
      ['update', '--now'],
      ['apply', 'edge'],
    ]) {
      expect(await at.cli(...words)).toMatchObject({ code: 4 });
    }
    at.agent.start({ HTTPS_PROXY: '' });
    await at.linked();
  }, 180_000);

  it('decommission leaves the manager, removes what made this a node, and lets services go on', async () => {
    const version = at.current();
    expect(await at.done('decommission', '--yes')).toContain('the manager was told');
    await at.agent.ended();
    expect(await at.agent.version()).toBe(version);
    const left = readdirSync(at.dir);
    for (const name of ['identity.json', 'node.key', 'spool', 'agent.sock', 'link.json']) {
      expect(left).not.toContain(name);
    }
    expect(left).toContain('agent.toml');
    await eventually(async () => {
      const { body } = await at.manager.call('nodes.list');
      expect(body.items[0]?.status).toBe('offline');
    });
    expect((await at.cli('status')).code).toBe(78);
    await at.done('decommission', '--yes', '--stop-services');
    expect(await at.agent.version()).toBeNull();
  }, 180_000);

  it('uninstall says how where the installer is not at hand', async () => {
    const { code, err } = await at.cli('uninstall', '--root', at.folder.path);
    expect(code).toBe(1);
    expect(err).toContain('sh install.sh --uninstall --root');
  });
});
