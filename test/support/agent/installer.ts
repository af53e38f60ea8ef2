import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ManagerProcess } from '../manager-process.js';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const INSTALLER = join(ROOT, 'deploy', 'install.sh');

/** The Node of the tests goes first: the agent may be a JavaScript file that looks for it. */
const PATH = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);

const succeed = (
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): string => {
  const done = spawnSync(file, args, { encoding: 'utf8', env: { ...process.env, PATH, ...env } });
  if (done.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout;
};

/**
 * What a node gets, in one folder: the executable that BELLWETHER_AGENT_BINARY names, or else the
 * plain bundle, which is the same code; the units, the policy, the script.
 */
export function makePayload(folder: string): void {
  const built = join(folder, '..', 'built');
  succeed(process.execPath, [
    join(ROOT, 'scripts', 'build-agent.mjs'),
    '--js-only',
    '--out',
    built,
  ]);
  mkdirSync(folder, { recursive: true });
  const binary = process.env['BELLWETHER_AGENT_BINARY'] ?? '';
  const program = join(folder, 'bellwether-agent');
  cpSync(binary === '' ? join(built, 'bellwether-agent.mjs') : binary, program);
  chmodSync(program, 0o755);
  for (const name of ['install.sh', 'policy.toml']) {
    cpSync(join(ROOT, 'deploy', name), join(folder, name));
  }
  cpSync(join(ROOT, 'deploy', 'systemd'), join(folder, 'systemd'), { recursive: true });
}

/** Packs and signs a folder as a release, with the command line that a pipeline uses. */
export function packRelease(
  programs: string,
  release: {
    readonly payload: string;
    readonly out: string;
    readonly keys: string;
    readonly sequence: number;
    readonly version?: string;
    readonly product?: string;
    /** Released a year ago, and good for a month. */
    readonly isExpired?: boolean;
  },
): void {
  const { payload, out, keys, sequence, product = 'bellwether-agent', isExpired = false } = release;
  const { version = '0.1.0' } = release;
  const cli = (...words: string[]): string => {
    const epoch = String(Math.floor(Date.now() / 1000) - 365 * 86_400);
    const env: Record<string, string> = isExpired ? { SOURCE_DATE_EPOCH: epoch } : {};
    return succeed(process.execPath, [join(programs, 'cli', 'main.js'), 'release', ...words], env);
  };
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const project = join(dirname(out), 'release.toml');
  const artifact = `os = "linux"\narch = "${arch}"\npath = "${payload}"\n`;
  const expires = isExpired ? 'expires_after_days = 30\n' : '';
  writeFileSync(project, `product = "${product}"\n${expires}[[artifact]]\n${artifact}`);
  const what = ['--version', version, '--channel', 'stable', '--sequence', String(sequence)];
  cli('pack', '--project', project, ...what, '--out', out);
  cli('sign', '--key', join(keys, 'release.key'), out);
}

/** Gives a packed and signed release to a manager. */
export function publishRelease(
  programs: string,
  folder: string,
  manager: Pick<ManagerProcess, 'url' | 'admin'>,
): void {
  const token = join(folder, '..', 'admin-token');
  writeFileSync(token, manager.admin, { mode: 0o600 });
  const words = ['release', 'publish', folder, '--manager', manager.url, '--token-file', token];
  succeed(process.execPath, [join(programs, 'cli', 'main.js'), ...words]);
}

export const makeKeys = (programs: string, out: string): string =>
  succeed(process.execPath, [
    join(programs, 'cli', 'main.js'),
    ...['release', 'keygen', '--out', out, '--name', 'release'],
  ]);

/** SHA-256 of a file, in hex. */
export const digestOf = (file: string): string =>
  createHash('sha256').update(readFileSync(file)).digest('hex');

/** With what the script can verify a signature, as far as it is here. */
export const VERIFIERS = ['minisign', 'openssl'].filter(
  (tool) => spawnSync(tool, ['--help']).error === undefined,
);
if (!VERIFIERS.includes('minisign')) {
  console.log('skipped: minisign is not installed (Debian: apt-get install minisign)');
}

/** A folder with nothing but these tools in it, to be the whole PATH: a machine that lacks others. */
export function onlyTools(folder: string, more: readonly string[]): string {
  mkdirSync(folder, { recursive: true });
  const plain =
    'sh dash base64 cat chmod cmp cp cut date dirname env grep gzip head id install ln mkdir mktemp mv od';
  const rest = 'printf readlink rm sed sha256sum sleep sort sync tail tar tr uname wc useradd';
  for (const name of [...`${plain} ${rest}`.split(' '), ...more]) {
    const path = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
    if (path.startsWith('/')) symlinkSync(path, join(folder, name));
  }
  symlinkSync(process.execPath, join(folder, 'node'));
  return folder;
}

export interface Installed {
  readonly code: number | null;
  readonly said: string;
}

/** Runs the real script; `onLine` hears what it says while it runs. */
export async function install(
  shell: string,
  args: readonly string[],
  options: {
    readonly path?: string;
    readonly stdin?: string;
    readonly onText?: (text: string) => void;
  } = {},
): Promise<Installed> {
  const child = spawn(shell, [INSTALLER, ...args], {
    env: { ...process.env, PATH: options.path ?? PATH },
  });
  // A script that refuses its arguments has ended before it reads anything.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  let said = '';
  const hear = (chunk: Buffer): void => {
    said += chunk.toString();
    options.onText?.(said);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

/** Has the agent below a root run as if the root were its machine. */
export function asOnItsMachine(root: string): void {
  const file = join(root, 'etc/bellwether/agent.toml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('"/opt/bellwether/agent"', `"${root}/opt/bellwether/agent"`));
}
