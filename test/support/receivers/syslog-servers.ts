import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CertificateFiles } from '../certificates.js';
import { makeTempDir } from '../databases.js';
import { freePort } from '../fleet.js';

/** Where `scripts/get-syslog-servers.sh` unpacks Debian's packages. */
const UNPACKED = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'bellwether-test',
  'syslog',
);
const MISSING = 'this needs rsyslog and syslog-ng: run scripts/get-syslog-servers.sh';

export type SyslogServerName = 'rsyslog' | 'syslog-ng';

/** A real syslog server with a file behind it. */
export interface SyslogServer {
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly tlsPort: number;
  /** What it has written: the number of the structured data, and the message, oldest first. */
  received(): { readonly sequence: number; readonly message: string }[];
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

interface Setting {
  readonly dir: string;
  readonly out: string;
  readonly ports: { readonly tcp: number; readonly udp: number; readonly tls: number };
  readonly tls: CertificateFiles & { readonly caFile: string };
}

const SETTINGS: Readonly<Record<SyslogServerName, (setting: Setting) => string>> = {
  rsyslog: ({ dir, out, ports, tls }) => `
global(workDirectory="${dir}" maxMessageSize="256k"
  defaultNetstreamDriverCAFile="${tls.caFile}"
  defaultNetstreamDriverCertFile="${tls.certFile}" defaultNetstreamDriverKeyFile="${tls.keyFile}")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="${ports.udp}")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="${ports.tcp}")
input(type="imtcp" address="127.0.0.1" port="${ports.tls}"
  streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="line" type="string" string="%structured-data%\\t%msg%\\n")
*.* action(type="omfile" file="${out}" template="line" flushOnTXEnd="on")
`,
  'syslog-ng': ({ out, ports, tls }) => `
@version: 3.38
options { keep-hostname(yes); log-msg-size(262144); };
source udp { syslog(ip("127.0.0.1") port(${ports.udp}) transport("udp")); };
source tcp { syslog(ip("127.0.0.1") port(${ports.tcp}) transport("tcp")); };
source tls { syslog(ip("127.0.0.1") port(${ports.tls}) transport("tls")
  tls(key-file("${tls.keyFile}") cert-file("${tls.certFile}") peer-verify(optional-untrusted))); };
destination out { file("${out}"
  template("[meta sequenceId=\\"\${.SDATA.meta.sequenceId}\\"]\\t\${MESSAGE}\\n")); };
log { source(tcp); source(udp); source(tls); destination(out); };
`,
};

/** The folder of the architecture below `usr/lib`. */
const archFolder = (): string => {
  const lib = join(UNPACKED, 'usr/lib');
  const found = readdirSync(lib).find((name) => existsSync(join(lib, name, 'rsyslog')));
  if (found === undefined) throw new Error(MISSING);
  return join(lib, found);
};

function start(name: SyslogServerName, config: string, dir: string): ChildProcess {
  if (!existsSync(join(UNPACKED, 'usr/sbin', 'syslog-ng'))) throw new Error(MISSING);
  const program = (file: string): string => join(UNPACKED, 'usr/sbin', file);
  if (name === 'rsyslog') {
    const words = ['-n', '-f', config, '-i', join(dir, 'pid'), '-M', join(archFolder(), 'rsyslog')];
    return spawn(program('rsyslogd'), words, { stdio: 'ignore' });
  }
  const lib = join(UNPACKED, 'usr/lib/syslog-ng');
  const version = readdirSync(lib).find((entry) => /^\d/.test(entry)) ?? '';
  const words = [
    ...['-F', '--no-caps', '-f', config, '-R', join(dir, 'persist'), '-p', join(dir, 'pid')],
    ...['-c', join(dir, 'ctl'), '--module-path', join(lib, version)],
  ];
  return spawn(program('syslog-ng'), words, {
    stdio: 'ignore',
    env: { ...process.env, LD_LIBRARY_PATH: lib },
  });
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'error').then(() => false),
  ])
    .catch(() => false)
    .finally(() => socket.destroy());
}

export async function startSyslogServer(
  name: SyslogServerName,
  tls: Setting['tls'],
): Promise<SyslogServer> {
  const dir = makeTempDir();
  const out = join(dir.path, 'out');
  const config = join(dir.path, 'conf');
  const ports = { tcp: await freePort(), udp: await freePort(), tls: await freePort() };
  writeFileSync(config, SETTINGS[name]({ dir: dir.path, out, ports, tls }));
  let server: ChildProcess | null = null;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const was = server;
    server = null;
    if (was === null || was.exitCode !== null) return;
    const exited = once(was, 'exit');
    was.kill(signal);
    await exited;
  };
  const begin = async (): Promise<void> => {
    server = start(name, config, dir.path);
    for (let tries = 0; tries < 400; tries += 1) {
      if (server.exitCode !== null) throw new Error(`${name} ended with ${server.exitCode}`);
      if ((await listens(ports.tcp)) && (await listens(ports.tls))) return;
      await sleep(50);
    }
    throw new Error(`${name} does not listen`);
  };
  await begin();
  return {
    tcpPort: ports.tcp,
    udpPort: ports.udp,
    tlsPort: ports.tls,
    received: () =>
      (existsSync(out) ? readFileSync(out, 'utf8') : '')
        .split('\n')
        // The look whether it listens leaves nothing, or a line about itself.
        .filter((line) => line.includes('\t') && line.startsWith('[meta'))
        .map((line) => ({
          sequence: Number(/sequenceId="(\d+)"/.exec(line)?.[1]),
          message: line.slice(line.indexOf('\t') + 1).replace(/^ /, ''),
        })),
    kill: () => end('SIGKILL'),
    start: begin,
    stop: async () => {
      await end('SIGKILL');
      dir.remove();
    },
  };
}
