import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeTempDir } from '../../../test/support/databases.js';
import { eventually } from '../../../test/support/fleet.js';
import { startTestManager, type TestManager } from '../../../test/support/manager.js';
import {
  startHttpReceiver,
  type HttpReceiver,
} from '../../../test/support/receivers/http-receiver.js';
import { recordingTerminal } from '../../../test/support/recording-terminal.js';
import { runProgram } from '../program.js';

const dir = makeTempDir();
let manager: TestManager;
let receiver: HttpReceiver;
beforeAll(async () => {
  manager = await startTestManager({ BELLWETHER_SINK_ALLOWED_NETWORKS: '127.0.0.1' });
  receiver = await startHttpReceiver(() => ({ status: 200, body: 'thanks' }));
});
afterAll(async () => {
  await manager.stop();
  await receiver.stop();
  dir.remove();
});

async function run(...words: string[]) {
  const env = { BELLWETHER_MANAGER: manager.url, BELLWETHER_TOKEN: manager.admin };
  const terminal = recordingTerminal(env);
  const code = await runProgram(words, terminal);
  return { code, out: terminal.outText(), err: terminal.errText() };
}
const idIn = (text: string): string => /snk_[a-z0-9]+/.exec(text)?.[0] ?? '';

it('makes a webhook, tests it, steers it and takes it away', async () => {
  const file = join(dir.path, 'secret');
  const create = ['sinks', 'create', 'siem', '--kind', 'webhook', '--url', `${receiver.url}/x`];
  const made = await run(...create, '--set', 'batch_max=10', '--secret-out', file);
  expect(made.err).toBe('');
  const id = idIn(made.out);
  const secret = readFileSync(file, 'utf8').trim();
  expect(secret).toMatch(/^whsec_/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(made.out).not.toContain(secret);
  expect((await run('sinks', 'test', id)).out).toMatch(/taken: +yes\n.*200 thanks/);
  await manager.node();
  await eventually(async () => {
    expect((await run('sinks', 'show', id)).out).toMatch(/delivered: +1\n/);
  });
  expect((await run('sinks', 'list')).out).toContain('delivers; nothing waits');
  expect((await run('sinks', 'pause', id)).out).toMatch(/state: +paused/);
  const changed = await run(
    'sinks',
    'change',
    id,
    '--name',
    'soc',
    '--alerts',
    '--set',
    'format=ecs',
  );
  expect(changed.out).toMatch(/format: +ecs[^]*categories: +alert/);
  expect((await run('sinks', 'change', id, '--no-filter')).out).toMatch(/categories: +all/);
  expect((await run('sinks', 'change', id)).code).toBe(2);
  const rotated = await run('sinks', 'change', id, '--rotate-secret', '--grace-hours', '0');
  expect(rotated.out).toMatch(/secret \(shown once\): +whsec_/);
  expect((await run('sinks', 'backfill', id, '--after', '0')).out).toMatch(/cursor: +0\n/);
  expect((await run('sinks', 'backfill', id)).code).toBe(2);
  await run('sinks', 'resume', id);
  await eventually(async () => {
    expect((await run('sinks', 'show', id)).out).toMatch(/delivered: +2\n/);
  });
  expect((await run('sinks', 'dead-letters', id)).out).toBe('no dead letters\n');
  expect((await run('sinks', 'replay', id, '--events', '3,4')).out).toBe('0 dead letters\n');
  expect((await run('sinks', 'discard', id, '--events', 'three')).code).toBe(2);
  expect((await run('sinks', 'delete', id)).out).toBe(`deleted ${id}\n`);
  expect((await run('sinks', 'show', id)).err).toContain('[not_found]');
});

it('reads credentials from files, and says which setting is wrong', async () => {
  const file = join(dir.path, 'token');
  writeFileSync(file, 'the-token\n');
  const splunk = ['sinks', 'create', 'hec', '--kind', 'splunk', '--url', receiver.url];
  const made = await run(...splunk, '--credential', `token=${file}`, '--set', 'acknowledge=false');
  expect(made.out).toMatch(/acknowledge: +false[^]*credentials: +token\n/);
  expect(made.out).not.toContain('the-token');
  const missing = await run(...splunk, '--credential', 'token=/nowhere/at/all');
  expect(missing.err).toContain('[local_file_failed]');
  expect((await run(...splunk)).err).toContain('body.credentials.token');
  const wrong = await run('sinks', 'create', 'x', '--kind', 'file', '--path', '../../etc/passwd');
  expect(wrong.err).toContain('give a path below the directory');
  expect((await run('sinks', 'create', 'x', '--kind', 'pigeon')).code).toBe(2);
});

it('lists alerts', async () => {
  expect((await run('alerts', 'list', '--state', 'raised')).out).toBe('no alerts\n');
  expect((await run('alerts', 'list', '--rule', 'nothing')).code).toBe(2);
  expect((await run('alerts', 'resolve', 'alr_00000000')).err).toContain('[not_found]');
});
