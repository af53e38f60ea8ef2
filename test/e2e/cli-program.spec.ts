import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startManager, type Manager } from '../../src/server/manager.js';
import { loadConfig } from '../../src/server/platform/config/index.js';
import { makeAuthority, type TestAuthority } from '../support/certificates.js';
import { makeTempDir, silentLog } from '../support/databases.js';
import { makeClock } from '../support/manager.js';
import { ROOT } from '../walls/tree.js';

/** The command line as it is shipped, as a process, against a manager that speaks TLS. */
const dir = makeTempDir();
const home = join(dir.path, 'home');
const bin = join(dir.path, 'bellwether');
let authority: TestAuthority;
let manager: Manager;
let url = '';
let token = '';

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Not `spawnSync`: the manager lives in this process. */
function run(
  file: string,
  words: readonly string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const child = spawn(file, words, {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => {
      resolve({
        code,
        out: Buffer.concat(out).toString('utf8'),
        err: Buffer.concat(err).toString('utf8'),
      });
    });
  });
}
const bellwether = (words: readonly string[], more: Parameters<typeof run>[2] = {}) =>
  run(bin, words, more);

beforeAll(async () => {
  const built = join(dir.path, 'built');
  const script = join(ROOT, 'scripts', 'build-cli.mjs');
  const made = spawnSync(process.execPath, [script, '--js-only', '--out', built], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(made.stderr);
  const shipped = process.env['BELLWETHER_CLI_BINARY'] ?? '';
  const line =
    shipped === ''
      ? `exec "${process.execPath}" "${join(built, 'bellwether.mjs')}" "$@"`
      : `exec "${shipped}" "$@"`;
  writeFileSync(bin, `#!/bin/sh\n${line}\n`, { mode: 0o755 });

  authority = makeAuthority();
  const { certFile, keyFile } = authority.issue('IP:127.0.0.1', 'DNS:localhost');
  const config = loadConfig({
    BELLWETHER_DATA_DIR: join(dir.path, 'data'),
    BELLWETHER_PORT: '0',
    BELLWETHER_TLS_CERT_FILE: certFile,
    BELLWETHER_TLS_KEY_FILE: keyFile,
  });
  manager = await startManager({ config, log: silentLog, clock: makeClock() });
  url = manager.config.publicUrl;
}, 120_000);
afterAll(async () => {
  await manager.stop();
  authority.remove();
  dir.remove();
});

describe('the command line as a process', { timeout: 120_000 }, () => {
  it('is set up, keeps a token from standard input, and trusts who it is told to', async () => {
    const at = ['--manager', url];
    const untrusted = await bellwether(['setup', ...at, '--setup-token', 'x']);
    expect([untrusted.code, untrusted.err]).toEqual([
      3,
      expect.stringMatching(/\[manager_unreachable\].*\n$/),
    ]);
    const ca = ['--ca-file', authority.caFile];
    const setupToken = manager.setupToken ?? '';
    const done = await bellwether(['setup', ...at, ...ca, '--setup-token', setupToken]);
    expect(done.code).toBe(0);
    token = done.out.trim();

    const kept = await bellwether(['login', ...at, ...ca, '--token', '-', '--context', 'home'], {
      input: `${token}\n`,
    });
    expect([kept.code, kept.err]).toEqual([0, '']);
    const file = join(home, '.config', 'bellwether', 'config.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain(token);
    const status = await bellwether(['status', '-o', 'json']);
    expect(JSON.parse(status.out)).toMatchObject({
      manager: { status: 'ok' },
      nodes: { nodes: 0 },
    });
    const shown = await bellwether(['context', 'show']);
    expect(shown.out).toMatch(/^manager: +https:\/\/127/m);
    expect(`${kept.out}${shown.out}`).not.toContain(token);

    const wrong = await bellwether(['login', ...at, ...ca, '--token', '-', '--context', 'other'], {
      input: 'bwt_0000000000000000000000000000000000000000',
    });
    expect([wrong.code, wrong.err]).toEqual([5, expect.stringContaining('`bellwether login`')]);
    expect((await bellwether(['context', 'list', '-o', 'name'])).out).toBe('home\n');
  });

  it('ends with a number for each kind of end, in one line', async () => {
    const cases: readonly (readonly [number, readonly string[]])[] = [
      [0, ['nodes', 'list']],
      [2, ['nodes', 'list', '--status', 'gone']],
      [4, ['nodes', 'show', 'nod_00000000000000000000']],
      [4, ['nodes', 'list', '--context', 'hme']],
      [6, ['groups', 'move', 'grp_default', '--parent', 'grp_default']],
    ];
    for (const [code, words] of cases) {
      const ended = await bellwether(words);
      expect([words.join(' '), ended.code]).toEqual([words.join(' '), code]);
      expect(ended.err.split('\n').length).toBeLessThanOrEqual(2);
      expect(ended.err).not.toMatch(/\n\s+at /);
    }
    const gone = { BELLWETHER_MANAGER: 'http://127.0.0.1:9', BELLWETHER_TOKEN: 'bwt_x' };
    const away = await bellwether(['status'], { env: gone });
    expect([away.code, away.err]).toEqual([3, expect.stringContaining('[manager_unreachable]')]);
  });

  it('packs, signs and publishes a release, and again with no harm', async () => {
    const at = (name: string): string => join(dir.path, name);
    mkdirSync(join(at('build'), 'bin'), { recursive: true });
    // Larger than one read and one packet, and not to be made smaller.
    writeFileSync(join(at('build'), 'bin', 'edge'), randomBytes(3_000_000), { mode: 0o755 });
    const pack = [
      '--product',
      'edge',
      '--version',
      '1.0.0',
      '--channel',
      'stable',
      '--sequence',
      '1',
    ];
    for (const words of [
      ['keygen', '--out', at('keys'), '--name', 'release'],
      ['pack', ...pack, '--artifact', `linux/x64=${at('build')}`, '--out', at('edge-1.0.0')],
      ['sign', '--key', at('keys/release.key'), at('edge-1.0.0')],
      ['publish', at('edge-1.0.0')],
    ]) {
      const { code, err } = await bellwether(['release', ...words]);
      expect([words[0], code, err]).toEqual([words[0], 0, expect.not.stringContaining('[')]);
    }
    const listed = await bellwether([
      'releases',
      'ls',
      '--columns=product,version',
      '--no-headers',
    ]);
    expect(listed.out).toBe('edge  1.0.0\n');
    const again = await bellwether(['release', 'publish', at('edge-1.0.0'), '-o', 'json']);
    expect([again.code, again.err]).toEqual([0, '']);
  });

  it('does not mind when its reader leaves', async () => {
    const script = '"$1" release schema | head -c 1; exit "${PIPESTATUS[0]}"';
    const { code, err } = await run('bash', ['-c', script, 'bash', bin]);
    expect([0, 141]).toContain(code);
    expect(err).toBe('');
  });

  it('has colours and fits on a terminal, and has none in a pipe', async () => {
    const name = `emoji 👩‍👩‍👧‍👦 שרת ${'x'.repeat(90)}`;
    const made = await bellwether(['groups', 'create', name, '-o', 'name']);
    expect([made.code, made.err]).toEqual([0, '']);
    const line = `stty cols 70; '${bin}' groups list`;
    const inTerminal = await run('script', ['-qec', line, '/dev/null']);
    const lines = inTerminal.out.split('\r\n');
    expect(lines[0]).toContain('\u001b[1mID');
    expect(lines.find((one) => one.includes(made.out.trim()))).toContain('…');
    const piped = await bellwether(['groups', 'list']);
    expect(piped.out).not.toContain('\u001b');
    expect(piped.out).toContain(name);
  });

  it('completes commands, options and names in bash', async () => {
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ['roll', ['rollouts']],
      ['node l', ['list']],
      ['nodes list --up', ['--upgrader']],
      ['nodes list --upgrader p', ['poll']],
      // bash takes a line apart at `=` too.
      ['nodes list --upgrader = k', ['kubernetes']],
      ['nodes list --group grp_defaul', ['grp_default']],
      ['groups show grp_defaul', ['grp_default']],
      ['context use h', ['home']],
      ['completion f', ['fish']],
      // Nobody is asked for long, and nothing is said where nobody answers.
      ['nodes list --manager http://127.0.0.1:9 --group g', []],
    ];
    const script = `
      source <("$0" completion bash) || exit 9
      compopt() { :; }
      for line in "$@"; do
        COMP_WORDS=("$0" $line)
        COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
        _bellwether
        echo "\${COMPREPLY[*]}"
      done`;
    const lines = cases.map(([line]) => line);
    const { out, err, code } = await run('bash', ['--norc', '-c', script, bin, ...lines]);
    expect([err, code]).toEqual(['', 0]);
    expect(out.split('\n').slice(0, -1)).toEqual(cases.map(([, words]) => words.join(' ')));
  });

  it.runIf(existsSync('/usr/bin/fish'))('completes in fish', async () => {
    const script = `${JSON.stringify(bin)} completion fish | source; complete -C "bellwether rollouts rev"; complete -C "bellwether groups show grp_defaul"`;
    const path = `${dir.path}:${process.env['PATH'] ?? ''}`;
    const { out } = await run('fish', ['--no-config', '-c', script], { env: { PATH: path } });
    expect(out).toMatch(/^revert\t/m);
    expect(out).toMatch(/^grp_default\t/m);
  });

  it.runIf(existsSync('/usr/bin/zsh'))('completes in zsh', async () => {
    // Where zsh would show them: what it is given to show is looked at.
    const script = `
      compdef() { : }
      _describe() { print -l -- "\${(@P)4}" }
      source <("$1" completion zsh)
      words=("$1" nodes list --upgrader ''); CURRENT=5; _bellwether
      words=("$1" groups show grp_defaul); CURRENT=4; _bellwether`;
    const { out, err } = await run('zsh', ['-fc', script, 'zsh', bin]);
    expect(err).toBe('');
    expect(out).toMatch(/^kubernetes:/m);
    expect(out).toMatch(/^grp_default:/m);
  });

  it('has scripts that the shells take', () => {
    for (const shell of ['bash', 'zsh', 'fish'].filter((one) => existsSync(`/usr/bin/${one}`))) {
      const script = execFileSync(bin, ['completion', shell], { encoding: 'utf8' });
      const file = join(dir.path, `completion.${shell}`);
      writeFileSync(file, script);
      const checked = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
      expect([shell, checked.status, checked.stderr]).toEqual([shell, 0, '']);
    }
  });
});
