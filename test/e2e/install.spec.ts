import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson, type JsonValue } from '../../src/core/kernel/index.js';
import { buildPrograms } from '../support/built.js';
import { makeTempDir } from '../support/databases.js';
import {
  asOnItsMachine,
  install,
  INSTALLER,
  makeKeys,
  makePayload,
  digestOf,
  onlyTools,
  VERIFIERS,
  packRelease,
  type Installed,
} from '../support/agent/installer.js';
import { startManagerProcess, type ManagerProcess } from '../support/manager-process.js';

/** The real script, below a root of its own, against a real manager. */
describe('install.sh', () => {
  const dir = makeTempDir();
  const at = (...names: string[]): string => join(dir.path, ...names);
  const agents: ChildProcess[] = [];
  let programs: ReturnType<typeof buildPrograms>;
  let manager: ManagerProcess;
  let publicKey = '';
  let strangerKey = '';
  let roots = 0;

  beforeAll(async () => {
    programs = buildPrograms();
    makePayload(at('payload'));
    makeKeys(programs.path, at('keys'));
    makeKeys(programs.path, at('stranger'));
    const keyIn = (folder: string): string =>
      readFileSync(at(folder, 'release.pub'), 'utf8').trim().split('\n').at(-1) ?? '';
    publicKey = keyIn('keys');
    strangerKey = keyIn('stranger');
    const common = { payload: at('payload'), keys: at('keys') };
    packRelease(programs.path, { ...common, out: at('release'), sequence: 7 });
    packRelease(programs.path, { ...common, out: at('older'), sequence: 6 });
    packRelease(programs.path, { ...common, out: at('other'), sequence: 7, product: 'edge' });
    packRelease(programs.path, { ...common, out: at('expired'), sequence: 7, isExpired: true });
    writeFileSync(at('bad-token'), 'bwe_nonsense-that-is-long-enough-to-be-one\n');
    manager = await startManagerProcess(programs.path);
  }, 180_000);

  afterEach(async () => {
    for (const agent of agents.splice(0)) await end(agent);
  });

  afterAll(async () => {
    await manager.stop();
    programs.remove();
    dir.remove();
  });

  /** As much of a system as the script looks at. */
  const newRoot = (): string => {
    roots += 1;
    const root = at(`root-${roots}`);
    mkdirSync(join(root, 'etc'), { recursive: true });
    for (const name of ['passwd', 'group', 'shadow', 'gshadow']) {
      writeFileSync(join(root, 'etc', name), '');
    }
    return root;
  };

  const tokenFile = async (): Promise<string> => {
    const wanted = { body: { group_id: 'grp_default' } };
    const { status, body } = await manager.call('enrollment.create', wanted);
    expect(status, JSON.stringify(body)).toBe(201);
    writeFileSync(at('token'), `${body.secret}\n`, { mode: 0o600 });
    return at('token');
  };

  const startAgent = (root: string): void => {
    asOnItsMachine(root);
    const program = join(root, 'opt/bellwether/agent/current/bellwether-agent');
    const path = `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`;
    const options = { stdio: 'ignore', env: { ...process.env, PATH: path } } as const;
    agents.push(spawn(program, ['run', '--dir', join(root, 'etc/bellwether')], options));
  };

  const words = (root: string, ...more: string[]): string[] => [
    ...['--root', root, '--from', at('release'), '--manager', manager.url, ...more],
  ];
  const trusting = (root: string, ...more: string[]): string[] =>
    words(root, '--public-key', publicKey, ...more);

  /** Each file with what it holds, so that a change of any kind is seen. */
  const contentOf = (root: string): string[] =>
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => {
        const { mode, mtimeMs } = statSync(join(root, name), { throwIfNoEntry: false }) ?? {};
        return `${name} ${mode} ${mtimeMs}`;
      });

  const expectRefused = async (
    args: (root: string) => string[],
    wanted: { code: number; says: string; path?: string },
  ): Promise<void> => {
    const root = newRoot();
    const before = contentOf(root);
    const { path } = wanted;
    // What is refused here is never for want of a token; one that is given later holds.
    const all = ['--token-file', at('bad-token'), ...args(root)];
    const { code, said } = await install('sh', all, path === undefined ? {} : { path });
    expect(said).toContain(wanted.says);
    expect(code, said).toBe(wanted.code);
    expect(contentOf(root)).toEqual(before);
  };

  it('passes shellcheck, where that is installed', () => {
    const found = spawnSync('shellcheck', ['-s', 'sh', INSTALLER], { encoding: 'utf8' });
    if (found.error === undefined) expect(found.stdout).toBe('');
  });

  it.each(['dash', 'sh'])(
    'run by %s makes a node that the manager sees, and a second time does nothing',
    async (shell) => {
      const root = newRoot();
      const token = await tokenFile();
      const more = ['--token-file', token, '--name', `by-${shell}`, '--label', 'site=lab one'];
      more.push('--wait', '60', '--manager-url', manager.url, '--manager-url', 'http://[::1]:9');
      let isStarted = false;
      const first = await install(shell, trusting(root, ...more), {
        onText: (text) => {
          if (isStarted || !text.includes('waiting until')) return;
          isStarted = true;
          startAgent(root);
        },
      });
      expect(first.said).toContain('done: the manager has seen this node');
      expect(first.code).toBe(0);
      const { body } = await manager.call('nodes.list');
      expect(body.items.find((node) => node.name === `by-${shell}`)?.status).toBe('online');

      const mode = (path: string): string => (statSync(join(root, path)).mode & 0o777).toString(8);
      expect(readlinkSync(join(root, 'opt/bellwether/agent/current'))).toBe('versions/0.1.0');
      expect(mode('opt/bellwether/agent/versions/0.1.0/bellwether-agent')).toBe('755');
      expect(mode('opt/bellwether/agent/policy.toml')).toBe('644');
      expect(mode('etc/bellwether')).toBe('700');
      expect(mode('etc/systemd/system/bellwether-svc@.service')).toBe('644');
      expect(mode('usr/lib/bellwether/rollback.sh')).toBe('755');
      const policy = readFileSync(join(root, 'opt/bellwether/agent/policy.toml'), 'utf8');
      expect(policy).toContain(`public_key = "${publicKey}"`);
      expect(policy).not.toContain('@');
      const config = readFileSync(join(root, 'etc/bellwether/agent.toml'), 'utf8');
      expect(config).toContain('lab one');
      expect(config).toContain(`manager_urls = [ "${manager.url}", "http://[::1]:9" ]`);
      if (process.getuid?.() === 0) {
        expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(/^bellwether:.*nologin$/m);
      }

      const isOurs = (line: string): boolean => !line.startsWith('etc/bellwether');
      const before = contentOf(root).filter(isOurs);
      const second = await install(shell, trusting(root));
      expect(second.said).toContain('enrolled already');
      expect(second.code).toBe(0);
      expect(contentOf(root).filter(isOurs)).toEqual(before);
    },
  );

  it('ends what was cut short behind the enrollment, once, for the machine to be', async () => {
    const root = newRoot();
    const again = async (...more: string[]): Promise<string> => {
      const { code, said } = await install('sh', trusting(root, ...more));
      expect(code, said).toBe(0);
      return readFileSync(join(root, 'etc/bellwether/agent.toml'), 'utf8');
    };
    const put = (name: string, text: string): void =>
      writeFileSync(join(root, 'etc/bellwether', name), text);
    const whole = await again('--token-file', await tokenFile());
    expect(whole).toContain('root = "/opt/bellwether/agent"');
    // The power went after the enrollment, or before the last step.
    for (const text of [whole.slice(0, whole.indexOf('\n# The agent itself')), whole]) {
      put('agent.toml', text);
      put('agent.toml.new', 'half');
      put('unfinished', '');
      expect(await again()).toBe(whole);
    }
    // Whoever takes the section out on purpose is not corrected.
    put('agent.toml', '# mine\n');
    expect(await again()).toBe('# mine\n');
  });

  it('takes the token from standard input', async () => {
    const root = newRoot();
    const stdin = readFileSync(await tokenFile(), 'utf8');
    const args = trusting(root, '--token-file', '-', '--wait', '0', '--name', 'by-stdin');
    const { code, said } = await install('sh', args, { stdin });
    expect(said).toContain('Enrolled as by-stdin');
    expect(code).toBe(0);
  });

  it('with --dry-run verifies, says each step and changes nothing', () =>
    expectRefused((root) => trusting(root, '--dry-run', '--token-file', '/none'), {
      code: 0,
      says: 'would: mv -T',
    }));

  /** A copy of the release in which something was exchanged. */
  const spoilt = (name: string, spoil: (folder: string) => void): string => {
    const folder = at(`spoilt-${name}`);
    rmSync(folder, { recursive: true, force: true });
    cpSync(at('release'), folder, { recursive: true });
    spoil(folder);
    return folder;
  };
  const inFolder = (folder: string, ending: string): string =>
    join(folder, readdirSync(folder).find((name) => name.endsWith(ending)) ?? '');

  const SPOILT: [string, (folder: string) => void, string][] = [
    ['archive', (folder) => appendFileSync(inFolder(folder, '.gz'), 'x'), 'not the file that was'],
    ['manifest', (folder) => appendFileSync(join(folder, 'manifest.json'), ' '), 'not signed by'],
    ['signature', (folder) => rmSync(inFolder(folder, '.minisig')), 'has no signature'],
    [
      'comment',
      (folder) => {
        const file = inFolder(folder, '.minisig');
        const text = readFileSync(file, 'utf8');
        writeFileSync(file, text.replace('\ntrusted comment: ', '\ntrusted comment: x'));
      },
      'not signed by',
    ],
  ];

  describe.each(VERIFIERS)('verifying with %s', (tool) => {
    const path = (): string => (existsSync(at(tool)) ? at(tool) : onlyTools(at(tool), [tool]));

    it('takes what the key signed', async () => {
      const root = newRoot();
      const args = trusting(root, '--dry-run', '--token-file', '/none');
      const { code, said } = await install('dash', args, { path: path() });
      expect(said).toContain('verified bellwether-agent 0.1.0');
      expect(code).toBe(0);
    });

    it.each(SPOILT)('refuses a release with another %s, and changes nothing', (name, spoil, says) =>
      expectRefused((root) => trusting(root, '--from', spoilt(name, spoil)), {
        code: 3,
        says,
        path: path(),
      }),
    );

    it('refuses what another key signed', () =>
      expectRefused((root) => words(root, '--public-key', strangerKey), {
        code: 3,
        says: 'not signed by the key',
        path: path(),
      }));
  });

  it('without minisign and openssl takes a digest, and says so of a key', async () => {
    const path = onlyTools(at('bare'), []);
    const says = 'neither is here';
    await expectRefused((root) => trusting(root), { code: 3, says, path });
    const digest = digestOf(at('release', 'manifest.json'));
    const more = ['--token-file', '/none', '--dry-run'];
    const pinned = (root: string): string[] => words(root, '--digest', digest, ...more);
    await expectRefused(pinned, { code: 0, says: 'verified bellwether-agent', path });
    const other = (root: string): string[] => words(root, '--digest', 'a'.repeat(64));
    await expectRefused(other, { code: 3, says: 'not the one that you gave', path });
  });

  it('takes a release that has deltas besides', async () => {
    const folder = spoilt('deltas', (place) => {
      const file = join(place, 'manifest.json');
      const manifest = JSON.parse(readFileSync(file, 'utf8')) as { artifacts: JsonValue[] };
      const [artifact] = manifest.artifacts as Record<string, JsonValue>[];
      const { os, arch, variant, size, sha256 } = artifact as Record<string, JsonValue>;
      const old = { from_version: '0.0.9', from_sha256: sha256 ?? '' };
      const delta = { os, arch, variant, format: 'bellwether.delta.v1', file: 'd', size, sha256 };
      const all = { ...manifest, deltas: [{ ...delta, ...old } as JsonValue] };
      writeFileSync(file, canonicalJson(all));
    });
    const digest = digestOf(join(folder, 'manifest.json'));
    const { code, said } = await install('dash', [
      ...['--root', newRoot(), '--from', folder, '--manager', manager.url],
      ...['--digest', digest, '--dry-run'],
    ]);
    expect(said).toContain('verified bellwether-agent 0.1.0');
    expect(code).toBe(0);
  });

  it.each(['curl', 'wget'])(
    'takes no more of a server without end than it may, by %s',
    async (tool) => {
      let sent = 0;
      const server = createServer((_request, response) => {
        const more = (): void => {
          if (sent > 64 * 1024 * 1024) response.end();
          else if (response.write(Buffer.alloc(65_536), () => (sent += 65_536))) setImmediate(more);
          else response.once('drain', more);
        };
        more();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const path = onlyTools(at(`with-${tool}`), [tool]);
      const digest = 'a'.repeat(64);
      await expectRefused((root) => words(root, '--from', url, '--digest', digest), {
        code: 3,
        says: 'is larger than 1048576 bytes',
        path,
      });
      expect(sent).toBeLessThan(32 * 1024 * 1024);
      server.closeAllConnections();
      server.close();
    },
  );

  it('refuses another product of the same signer, and an expired release', async () => {
    const from = (folder: string) => (root: string) => trusting(root, '--from', at(folder));
    await expectRefused(from('other'), { code: 3, says: 'not for bellwether-agent' });
    await expectRefused(from('expired'), { code: 3, says: 'expired at' });
  });

  it('refuses an older release than is installed', async () => {
    const root = newRoot();
    const args = ['--token-file', await tokenFile(), '--wait', '0', '--name', 'not-older'];
    expect((await install('sh', trusting(root, ...args))).code).toBe(0);
    const before = contentOf(root);
    const { code, said } = await install('sh', trusting(root, '--from', at('older')));
    expect(said).toContain('a newer release is installed');
    expect(code).toBe(3);
    expect(contentOf(root)).toEqual(before);
  });

  const WRONG: [string, string[], string][] = [
    ['a token on the command line', ['--token', 'x'], 'read by everybody'],
    ['an unknown option', ['--frm', 'x'], 'no option --frm'],
    ['nobody to trust', ['--manager', 'https://m.example'], 'say whom you trust'],
    ['a digest of another length', ['--digest', 'abc'], '64 characters'],
    ['a key that is none', ['--public-key', 'RW$(id)'], 'base64 line'],
    ['a root that is not there', ['--root', '/nonexistent/root'], 'is not a folder'],
    ['a relative root', ['--root', 'here'], 'whole path'],
    ['a value left out', ['--manager'], 'needs a value'],
    ['a wait that is no number', ['--wait', 'long'], 'whole seconds'],
  ];
  it.each(WRONG)('explains %s', (_what, args, says) =>
    expectRefused((root) => ['--root', root, ...args], { code: 2, says }),
  );

  const explained = async (args: string[]): Promise<Installed> =>
    install('sh', trusting(newRoot(), ...args));

  it('says in words what is wrong with the manager or the token', async () => {
    const nobody = ['--manager', 'http://127.0.0.1:9', '--token-file', at('bad-token')];
    const away = await explained(nobody);
    expect(away.said).toContain('could not be enrolled');
    expect(away.said).toContain('cannot be reached');
    expect(away.code).toBe(1);
    const refused = await explained(['--token-file', at('bad-token')]);
    expect(refused.said).toContain('could not be enrolled');
    expect(refused.code).toBe(1);
    const root = newRoot();
    const before = contentOf(root);
    const missing = await install('sh', trusting(root));
    expect(missing.said).toContain('--token-file is missing');
    expect(missing.code).toBe(2);
    expect(contentOf(root)).toEqual(before);
  });

  it('says that the agent does not run, when it does not', async () => {
    const more = ['--token-file', await tokenFile(), '--wait', '1', '--name', 'never-started'];
    const { code, said } = await explained(more);
    expect(said).toContain('the agent does not run');
    expect(code).toBe(4);
  });

  it('takes the agent away and leaves the node, or everything with --purge', async () => {
    const root = newRoot();
    const token = await tokenFile();
    const more = ['--token-file', token, '--wait', '0', '--name', 'removed'];
    expect((await install('sh', trusting(root, ...more))).code).toBe(0);
    const dry = contentOf(root);
    await install('sh', ['--root', root, '--uninstall', '--dry-run']);
    expect(contentOf(root)).toEqual(dry);
    const gone = await install('sh', ['--root', root, '--uninstall']);
    expect(gone.code, gone.said).toBe(0);
    expect(existsSync(join(root, 'opt/bellwether/agent'))).toBe(false);
    expect(existsSync(join(root, 'etc/bellwether/identity.json'))).toBe(true);
    expect((await install('sh', trusting(root, '--wait', '0'))).said).toContain('enrolled already');
    const purged = await install('sh', ['--root', root, '--uninstall', '--purge']);
    expect(purged.code, purged.said).toBe(0);
    const left = readdirSync(root, { recursive: true, encoding: 'utf8' });
    expect(left.filter((name) => /bellwether/.test(name))).toEqual([]);
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).not.toContain('bellwether');
  });
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
