import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Status } from '../../src/agent/operator/status-schema.js';
import { agentProgram, buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import {
  eventually,
  makeSigningKey,
  publish,
  startAgent,
  type SigningKey,
  type TestAgent,
} from '../support/fleet.js';
import { startTestManager, type TestManager } from '../support/manager.js';

type Ended = Record<'out' | 'err', string> & { readonly code: number };

/** What a person on the node can do, with a real agent, its real command line, and a real manager. */
describe('the commands of the agent', () => {
  let manager: TestManager;
  let key: SigningKey;
  let programs: ReturnType<typeof buildPrograms>;
  let agent: TestAgent;
  let minor = 0;
  let dir: string;
  const folder = makeTempDir();

  beforeAll(async () => {
    programs = buildPrograms();
    manager = await startTestManager({ BELLWETHER_PERMIT_LEASE_MS: '1000' });
    key = makeSigningKey();
    agent = await startAgent({
      manager,
      programs: programs.path,
      folder: folder.path,
      name: 'edge-01',
      publicKey: key.publicKey,
    });
    dir = dirname(agent.root);
    await eventually(async () => {
      expect((await manager.call('nodes.list')).body.items[0]?.services).toHaveLength(1);
    });
    await install();
    await install();
  }, 120_000);

  afterAll(async () => {
    await agent.stop();
    await manager.stop();
    programs.remove();
    folder.remove();
  }, 60_000);

  async function cli(...words: string[]): Promise<Ended> {
    const program = agentProgram(programs.path);
    const child = spawn(program.file, [...program.args, ...words, '--dir', dir]);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out, err };
  }

  async function done(...words: string[]): Promise<string> {
    const { code, out, err } = await cli(...words);
    expect(code, out + err).toBe(0);
    return out;
  }

  const status = async (): Promise<Status> =>
    Status.parse(JSON.parse(await done('status', '--json')));

  async function next(): Promise<{ id: string; version: string }> {
    minor += 1;
    const version = `1.${minor}.0`;
    await publish(manager, { folder: folder.path, version, sequence: minor + 1, key });
    return { id: await upgrade(version), version };
  }

  async function upgrade(version: string): Promise<string> {
    const { status: code, body } = await manager.call('nodes.upgrade', {
      params: { id: agent.nodeId },
      body: { version, product: 'edge' },
    });
    expect(code, JSON.stringify(body)).toBe(202);
    return body.id;
  }

  const target = async (id: string) =>
    (await manager.call('rollouts.targets', { params: { id } })).body.items[0];

  const ends = (id: string, wanted: object): Promise<void> =>
    eventually(async () => {
      expect(await target(id)).toMatchObject(wanted);
    }, 60_000);

  async function install(): Promise<string> {
    const { id, version } = await next();
    await ends(id, { state: 'succeeded' });
    return version;
  }

  async function runs(version: string): Promise<void> {
    await eventually(async () => {
      expect(await agent.version()).toBe(version);
    });
  }

  const policy = (lines: string): void => {
    const path = join(agent.root, 'policy.toml');
    const text = readFileSync(path, 'utf8').replace(
      /^(manual_only|boot_health_window_secs).*\n/gm,
      '',
    );
    writeFileSync(path, `${lines}\n${text}`);
  };

  const linked = (): Promise<void> =>
    eventually(async () => {
      expect((await status()).link).toBe('connected');
    });

  const current = (): string => readlinkSync(join(agent.root, 'current')).replace('versions/', '');

  it('status says what runs, how the manager is reached, and what counts', async () => {
    const found = await status();
    expect(found).toMatchObject({
      link: 'connected',
      link_transport: 'socket',
      link_manager: manager.url,
      up_to_date: true,
      services: [{ version: current(), target: null, enabled: true, pin: null, problems: [] }],
    });
    const words = await done('status', '--is-up-to-date');
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
    const { code, err } = await cli(...words);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(existsSync(join(agent.root, 'control.json'))).toBe(false);
  });

  it('pin keeps every other version away, is seen by the manager, and ends with unpin', async () => {
    const before = current();
    expect(await done('pin', '--current')).toContain(`${before} and no other version`);
    await eventually(async () => {
      const { body } = await manager.call('events.list', { query: { limit: 1000 } });
      expect(body.items.map(({ message }) => message).join()).toContain(
        `edge is pinned to ${before}`,
      );
    });
    const { id, version } = await next();
    await ends(id, { state: 'failed', error_code: 'upgrade_pinned' });
    expect(await agent.version()).toBe(before);
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      expect(body.items[0]?.services[0]).toMatchObject({ by_hand: { enabled: true, pin: before } });
    });
    expect(await done('status')).toContain(`pinned to ${before}`);
    await done('pin', version, 'edge');
    await ends(await upgrade(version), { state: 'succeeded' });
    expect(await done('unpin', 'edge')).toContain('any version that the policy allows');
    await install();
  }, 240_000);

  it('disable lets nothing come until enable, also over a restart of the agent', async () => {
    const before = current();
    await agent.kill();
    expect(await done('disable')).toContain('counts from its next start');
    agent.start();
    const { id, version } = await next();
    await ends(id, { state: 'failed', error_code: 'upgrade_disabled' });
    expect(current()).toBe(before);
    expect(await done('status')).toContain('upgrades are switched off');
    await done('enable');
    await ends(await upgrade(version), { state: 'succeeded' });
  }, 240_000);

  it('a switch that others could write lets nothing come, and no command mends it silently', async () => {
    const path = join(agent.root, 'control.json');
    chmodSync(path, 0o666);
    expect((await cli('enable')).code).toBe(78);
    expect((await cli('policy', 'check')).code).toBe(78);
    expect((await status()).services[0]?.problems[0]).toContain('can be changed by others');
    const { id, version } = await next();
    await ends(id, { state: 'failed', error_code: 'upgrade_policy_invalid' });
    rmSync(path);
    await ends(await upgrade(version), { state: 'succeeded' });
  }, 180_000);

  it('manual_only stages, waits over a kill, and goes on at apply', async () => {
    expect((await cli('apply')).code).toBe(5);
    policy('manual_only = true\nboot_health_window_secs = 1');
    const { id, version } = await next();
    await ends(id, { state: 'staged' });
    await agent.kill();
    expect(await cli('apply', 'edge')).toMatchObject({ code: 4 });
    agent.start();
    await eventually(async () => {
      const found = await status();
      expect(found.link).toBe('connected');
      expect(found.services[0]?.target).toMatchObject({ phase: 'staged', version });
      expect(found.services[0]?.target?.waits_for).toContain('apply edge');
    });
    expect((await cli('status', '--is-up-to-date')).code).toBe(6);
    expect(await done('apply')).toContain(`${version} is let go`);
    await ends(id, { state: 'succeeded' });
    await runs(version);
  }, 240_000);

  it('a version that was cancelled while it waited is not let go', async () => {
    const { id } = await next();
    await ends(id, { state: 'staged' });
    await manager.call('rollouts.cancel', { params: { id } });
    await eventually(async () => {
      expect(await cli('apply', 'edge')).toMatchObject({ code: 5 });
    });
    policy('boot_health_window_secs = 1');
  }, 180_000);

  it('rollback goes to the version before, once, however many ask, and the manager is told', async () => {
    const [to, from] = [current(), await install()];
    const both = await Promise.all([cli('rollback', 'edge'), cli('rollback', 'edge')]);
    expect(both.map(({ code }) => code).sort(), JSON.stringify(both)).toEqual([0, 5]);
    await runs(to);
    expect(existsSync(join(agent.root, 'previous'))).toBe(false);
    expect((await cli('rollback')).code).toBe(5);
    await eventually(async () => {
      const { body } = await manager.call('events.list', { query: { limit: 1000 } });
      const told = body.items.filter(({ type }) => type === 'upgrade_rolled_back');
      expect(told).toHaveLength(1);
      expect(told[0]?.details).toMatchObject({
        error_code: 'upgrade_rolled_back_by_hand',
        from_version: from,
        to_version: to,
      });
      const { body: nodes } = await manager.call('nodes.list');
      expect(nodes.items[0]?.services[0]?.version).toBe(to);
    });
    await ends(await upgrade(from), { state: 'succeeded' });
  }, 240_000);

  it('rollback turns back what is on probation, and its rollout hears why', async () => {
    const before = current();
    policy('boot_health_window_secs = 60');
    const { id } = await next();
    await ends(id, { state: 'probation' });
    await done('rollback');
    policy('boot_health_window_secs = 1');
    await ends(id, { state: 'rolled_back', error_code: 'upgrade_rolled_back_by_hand' });
    await runs(before);
  }, 180_000);

  it('rollback works while the agent is dead, and the next agent tells it', async () => {
    const [to, from] = [current(), await install()];
    await agent.kill();
    const out = await done('rollback');
    expect(out).toContain(`${from} was turned back to ${to}`);
    expect(out).toContain('no agent runs');
    await runs(to);
    expect((await cli('rollback')).code).toBe(5);
    agent.start();
    await eventually(async () => {
      const { body } = await manager.call('events.list', { query: { limit: 1000 } });
      const told = body.items.filter(({ type }) => type === 'upgrade_rolled_back');
      expect(told.map(({ details }) => details['from_version'])).toContain(from);
      expect((await status()).link).toBe('connected');
    });
    expect(await agent.version()).toBe(to);
  }, 240_000);

  it('rollback to a version that is not whole changes nothing, with an agent or without', async () => {
    const [to, from] = [current(), await install()];
    const marker = join(agent.root, 'versions', to, '.bellwether.json');
    renameSync(marker, `${marker}.away`);
    expect(await cli('rollback')).toMatchObject({ code: 5 });
    await agent.kill();
    expect(await cli('rollback')).toMatchObject({ code: 5 });
    agent.start();
    renameSync(`${marker}.away`, marker);
    await runs(from);
    await linked();
  }, 180_000);

  it('an agent that dies in the middle of a command is told, and goes on at its next start', async () => {
    const [to] = [current(), await install()];
    await agent.kill();
    agent.start({ BELLWETHER_FAULT: 'after-state-rolling-back' });
    await linked();
    const { code, err } = await cli('rollback');
    expect([code, err]).toEqual([4, expect.stringContaining('ended before it answered')]);
    await agent.ended();
    agent.start();
    await runs(to);
    await linked();
  }, 240_000);

  it('many commands at once leave whole files', async () => {
    const words = ['pin 9.0.0 edge', 'disable', 'enable', 'unpin', 'status', 'update'];
    const all = await Promise.all([...words, ...words].map((line) => cli(...line.split(' '))));
    expect(all.map(({ code }) => code)).toEqual(all.map(() => 0));
    await done('unpin');
    await done('enable');
    expect((await status()).services[0]).toMatchObject({ enabled: true, pin: null, problems: [] });
    const left = readdirSync(agent.root).filter((name) => /lock|tmp|draft/.test(name));
    expect(left).toEqual([]);
  }, 180_000);

  it('verify finds what was changed in an installed version', async () => {
    await install();
    expect(await done('verify')).toMatch(/edge: fine: policy, links and markers/);
    const tree = join(agent.root, 'current');
    chmodSync(join(tree, 'release.json'), 0o4666);
    symlinkSync('/etc/passwd', join(tree, 'leak'));
    mkdirSync(join(agent.root, 'versions', '7.0.0.partial'));
    const { code, out } = await cli('verify', 'edge');
    expect(code).toBe(1);
    expect(out).toContain('runs as another user');
    expect(out).toContain('leads out of the version');
    expect(out).toContain('half a version');
    chmodSync(join(tree, 'release.json'), 0o644);
    rmSync(join(tree, 'leak'));
    rmSync(join(agent.root, 'versions', '7.0.0.partial'), { recursive: true });
    await done('verify');
  }, 180_000);

  it('diagnose tells what helps and nothing that is secret', async () => {
    const canary = 'cAnArY0123456789';
    const log = join(agent.root, 'log', 'service.log');
    appendFileSync(log, `a line that helps\nlogin with password=${canary}\nBearer ${canary}\n`);
    appendFileSync(log, `https://admin:${canary}@db.example.com/?token=${canary}\n`);
    const out = join(folder.path, 'bundle.json');
    await done('diagnose', '--out', out);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect((await cli('diagnose', '--out', out)).code).toBe(1);
    const text = readFileSync(out, 'utf8');
    const key = readFileSync(join(dir, 'node.key'), 'utf8').split('\n')[1] ?? 'none';
    expect(key.length).toBeGreaterThan(20);
    for (const secret of [canary, key]) expect(text).not.toContain(secret);
    expect(JSON.parse(text)).toMatchObject({
      schema: 'bellwether.diagnosis.v1',
      link: { state: 'connected' },
      status: { services: [{ version: current() }] },
      config: { services: [{ env: ['PORT', 'PATH'] }] },
    });
    expect(text).toContain('a line that helps');
  }, 180_000);

  it('update --now looks at once; without a manager it says so, without an agent too', async () => {
    expect(await done('update', '--now', 'edge')).toContain('the manager is connected');
    expect(await done('update')).toContain(`edge: ${current()} runs`);
    await agent.kill();
    for (const words of [
      ['update', '--now'],
      ['apply', 'edge'],
    ]) {
      expect(await cli(...words)).toMatchObject({ code: 4 });
    }
    agent.start({ HTTPS_PROXY: '' });
    await linked();
  }, 180_000);

  it('decommission leaves the manager, removes what made this a node, and lets services go on', async () => {
    const version = current();
    expect(await done('decommission', '--yes')).toContain('the manager was told');
    await agent.ended();
    expect(await agent.version()).toBe(version);
    const left = readdirSync(dir);
    for (const name of ['identity.json', 'node.key', 'spool', 'agent.sock', 'link.json']) {
      expect(left).not.toContain(name);
    }
    expect(left).toContain('agent.toml');
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      expect(body.items[0]?.status).toBe('offline');
    });
    expect((await cli('status')).code).toBe(78);
    await done('decommission', '--yes', '--stop-services');
    expect(await agent.version()).toBeNull();
  }, 180_000);

  it('uninstall says how where the installer is not at hand', async () => {
    const { code, err } = await cli('uninstall', '--root', folder.path);
    expect(code).toBe(1);
    expect(err).toContain('sh install.sh --uninstall --root');
  });
});
