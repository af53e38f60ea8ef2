// `npm run test:systemd`: boots a real systemd in systemd-nspawn, over an overlay of this machine's own root, and runs
// the specs beside this file in it; twice, for what must live through a power cut. Nothing is written to this machine:
// the overlay lies on a tmpfs in a mount namespace of its own and is gone with it. Plain JavaScript.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** For all boots together; then everything is killed. */
const SECONDS_MAX = 720;

const skip = (why) => {
  console.log(`test:systemd: skipped: ${why}`);
  process.exit(0);
};
const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

if (process.platform !== 'linux') skip('only Linux has systemd');
if (process.getuid() !== 0) skip('systemd-nspawn needs root');
if (!has('systemd-nspawn'))
  skip("systemd-nspawn is not installed (Debian's package systemd-container)");
if (!existsSync('/lib/systemd/systemd')) skip('this machine has no systemd to boot');
const tryMount = ['-m', 'sh', '-c', 'mount --make-rprivate / && mount -t tmpfs tmpfs /run'];
if (spawnSync('unshare', tryMount).status !== 0) skip('mounting is not allowed here');

// $1: the repository. $2: where its Node lies in it. $3: which specs, by a pattern of vitest.
const SCRIPT = `
set -eu
mount --make-rprivate /
mount -t tmpfs -o size=2g tmpfs /run
mkdir -p /run/b/up /run/b/work /run/b/root /run/b/repo-up /run/b/repo-work /run/b/repo
mount -t overlay overlay -o lowerdir="$1",upperdir=/run/b/repo-up,workdir=/run/b/repo-work /run/b/repo
mount -t overlay overlay -o lowerdir=/,upperdir=/run/b/up,workdir=/run/b/work /run/b/root
root=/run/b/root
mkdir -p "$root/srv/repo" "$root/srv/tmp" "$root/srv/cache"
chmod 1777 "$root/srv/tmp"
units="$root/etc/systemd/system"
# What the machine itself runs at boot is none of our business.
rm -rf "$units"/*.wants "$units"/*.requires
ln -sf /dev/null "$units/network-online.target"
: > "$root/etc/machine-id"
cat > "$units/bellwether-test.service" <<UNIT
[Unit]
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
WorkingDirectory=/srv/repo
EnvironmentFile=/srv/test.env
ExecStart=/bin/sh -c '"\\$NODE" node_modules/vitest/vitest.mjs run --config test/systemd/vitest.config.ts "\\$ONLY"; echo \\$? > /srv/exit-code'
ExecStopPost=/bin/sh -c 'journalctl --no-pager -b -n 400 > /srv/journal.log'
StandardOutput=append:/srv/out.log
StandardError=append:/srv/out.log
UNIT
cat > "$units/bellwether-test.target" <<UNIT
[Unit]
Requires=basic.target
Wants=bellwether-test.service
AllowIsolate=yes
UNIT
result=0
for only in $3; do
  printf 'NODE=%s\\nONLY=%s\\nTMPDIR=/srv/tmp\\nHOME=/root\\nPATH=%s\\n' "/srv/repo/$2/node" "$only" \\
    "/srv/repo/$2:/usr/sbin:/usr/bin:/sbin:/bin" > "$root/srv/test.env"
  rm -f "$root/srv/exit-code" "$root/srv/out.log"
  systemd-nspawn -q -D "$root" --register=no --keep-unit --private-network --boot --console=pipe \\
    --bind=/run/b/repo:/srv/repo --kill-signal=SIGRTMIN+3 systemd.unit=bellwether-test.target \\
    > /run/b/console.log 2>&1 < /dev/null || true
  cat "$root/srv/out.log" 2> /dev/null || cat /run/b/console.log
  code=$(cat "$root/srv/exit-code" 2> /dev/null || echo 1)
  if [ "$code" != 0 ]; then
    result=1
    echo "--- the journal of this boot, its end"
    cat "$root/srv/journal.log" 2> /dev/null || cat /run/b/console.log
    break
  fi
done
exit "$result"
`;

const node = join('node_modules', `node-linux-${process.arch}`, 'bin');
// Inside there is no network: the runtime that the agent is built with has to be here already.
const isBuildable = existsSync(join(ROOT, 'node_modules', '.cache', 'bellwether-agent'));
if (!isBuildable)
  console.log('test:systemd: `install` is left out: run npm run build:agent once before');
const all = [...(isBuildable ? ['install'] : []), 'driver', 'story', 'after-reboot', 'leave'];
const only = process.argv[2] ?? all.join(' ');
const startedAt = performance.now();
// Its own pid namespace: when the script ends or is killed, nothing that it started is left.
const args = ['-m', '--pid', '--fork', '--kill-child', '--mount-proc'];
const child = spawn(
  'timeout',
  [
    '-k',
    '10',
    String(SECONDS_MAX),
    'unshare',
    ...args,
    'sh',
    '-c',
    SCRIPT,
    'boot',
    ROOT,
    node,
    only,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  console.log(`test:systemd: ${code === 0 ? 'passed' : 'failed'} in ${seconds} s`);
  process.exit(code === 0 ? 0 : 1);
});
