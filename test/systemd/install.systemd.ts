import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';

const page = readFileSync('docs/install.md', 'utf8');
const parts = page.split(/^### Look first$/m);

/** What the page tells a reader to type, in this order. */
const commandsIn = (text: string | undefined): string =>
  [...(text ?? '').matchAll(/^```bash\n([^]*?)^```$/gm)].map(([, block = '']) => block).join('\n');

const SCRIPT = `
trap 'kill $(jobs -p)' EXIT
${commandsIn(parts[0])}
pid=$(systemctl show -P MainPID bellwether-agent)
echo "runs $(readlink "/proc/$pid/exe") and was started again $(systemctl show -P NRestarts bellwether-agent) times"
${commandsIn(parts[1])}
`;

it('docs/install.md, followed literally: installed, seen, again, without a network, gone', async () => {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', SCRIPT], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `/usr/local/bin:${process.env['PATH'] ?? ''}` },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  }
  // So that a step that hangs is seen in what was said before it.
  const limit = setTimeout(() => child.kill(), 200_000);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(limit);
  expect(code, said).toBe(0);
  expect(said).toContain('done: the manager has seen this node');
  expect(said).toContain('link      connected');
  expect(said).toMatch(/edge-01 .* online /);
  const runs = 'runs /opt/bellwether/agent/versions/0.1.0/bellwether-agent';
  expect(said).toContain(`${runs} and was started again 0 times`);
  expect(said.split('this machine is enrolled already')).toHaveLength(4);
  expect(said).not.toContain('would: mv');
  expect(said).toContain('everything is removed');
  for (const path of ['/opt/bellwether', '/etc/bellwether', '/usr/lib/bellwether']) {
    expect(existsSync(path), path).toBe(false);
  }
  const units = readdirSync('/etc/systemd/system').filter((name) =>
    /^bellwether-(agent|svc)/.test(name),
  );
  expect(units).toEqual([]);
  expect(readFileSync('/etc/passwd', 'utf8')).not.toContain('bellwether');
}, 240_000);
