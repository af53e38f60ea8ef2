import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** The script alone, with a systemctl that writes down what it is asked; with systemd: `npm run test:systemd`. */
let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-rollback-'));
  root = join(folder, 'root');
  for (const version of ['1.0.0', '2.0.0', '3.0.0']) {
    mkdirSync(join(root, 'versions', version), { recursive: true });
  }
  link('current', 'versions/2.0.0');
  link('previous', 'versions/1.0.0');
  agentIs('failed');
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function link(name: string, target: string): void {
  rmSync(join(root, name), { force: true });
  symlinkSync(target, join(root, name));
}

/** What it is at each question; the last one stays. */
function agentIs(...states: readonly string[]): void {
  writeFileSync(join(folder, 'states'), `${states.join('\n')}\n`);
  const said = `head -n 1 "${folder}/states"`;
  const next = `[ "$(wc -l < "${folder}/states")" = 1 ] || sed -i 1d "${folder}/states"`;
  const script = `[ "$1" = is-active ] && { ${said}; ${next}; exit 0; }; echo "$*" >> "${folder}/asked"`;
  program('systemctl', script);
  program('sleep', `echo "$*" >> "${folder}/slept"`);
}

function program(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** As the agent writes it. */
function upgrading(version: string, phase: string): void {
  const job = { command_id: 'cmd_1', version, phase, from: { version: '1.0.0' } };
  const outbox = [{ message: '"phase": "probation"' }];
  const state = { current: { version: '1.0.0' }, job, outbox };
  writeFileSync(join(root, 'state.json'), JSON.stringify(state, null, 1));
}

function run(...args: readonly string[]): { code: number | null; said: string } {
  const env = { PATH: `${folder}:${process.env['PATH'] ?? ''}` };
  const script = ['deploy/systemd/rollback.sh', ...args];
  const { status, stdout, stderr } = spawnSync('/bin/sh', script, { env, encoding: 'utf8' });
  return { code: status, said: stdout + stderr };
}
const rollBack = (kind = 'agent'): { code: number | null; said: string } =>
  run(kind, root, 'edge.service');
const current = (): string => readlinkSync(join(root, 'current'));
const isStarted = (): boolean =>
  existsSync(join(folder, 'asked')) &&
  readFileSync(join(folder, 'asked'), 'utf8').includes('start --no-block edge.service');

describe('rollback.sh', () => {
  it('goes back to the version before and starts it', () => {
    expect(rollBack()).toMatchObject({ code: 0 });
    expect([current(), isStarted()]).toEqual(['versions/1.0.0', true]);
  });

  it('tries that once, also when it is asked again and again', () => {
    rollBack();
    rmSync(join(folder, 'asked'));
    for (const round of [1, 2]) {
      const { code, said } = rollBack();
      expect([round, code, said]).toEqual([
        round,
        1,
        expect.stringContaining('does not start either'),
      ]);
    }
    expect([current(), isStarted()]).toEqual(['versions/1.0.0', false]);
  });

  it('gives a version that is installed later a try of its own', () => {
    rollBack();
    link('current', 'versions/3.0.0');
    expect(rollBack().code).toBe(0);
    expect(current()).toBe('versions/1.0.0');
  });

  it('that was cut between its marker and the link does it at the next time', () => {
    writeFileSync(join(root, 'rolled-back'), 'versions/1.0.0\n');
    symlinkSync('versions/1.0.0', join(root, 'current.tmp'));
    expect(rollBack().code).toBe(0);
    expect(current()).toBe('versions/1.0.0');
  });

  it.each([
    ['nothing before it', () => rmSync(join(root, 'previous')), 'no version before'],
    [
      'a version before it that is gone',
      () => rmSync(join(root, 'versions/1.0.0'), { recursive: true }),
      'is gone',
    ],
    ['a link that leads elsewhere', () => link('previous', '../../etc'), 'is not a version'],
    ['a link that climbs', () => link('previous', 'versions/..'), 'is not a version'],
  ])('with %s changes nothing and says so', (_, spoil, words) => {
    spoil();
    expect(rollBack()).toMatchObject({ code: 1, said: expect.stringContaining(words) as string });
    expect([current(), isStarted()]).toEqual(['versions/2.0.0', false]);
  });

  it.each(['active', 'reloading', 'deactivating'])(
    'leaves a service to an agent that is %s',
    (state) => {
      agentIs(state);
      upgrading('2.0.0', 'probation');
      expect(rollBack('service').code).toBe(0);
      expect(current()).toBe('versions/2.0.0');
    },
  );

  it('leaves a service to an agent that is just starting', () => {
    agentIs('activating', 'activating', 'active');
    upgrading('2.0.0', 'probation');
    expect(rollBack('service')).toMatchObject({
      code: 0,
      said: expect.stringContaining('the agent runs and decides') as string,
    });
    expect(current()).toBe('versions/2.0.0');
  });

  it('does not wait for ever for one that hangs at its start', () => {
    agentIs('activating');
    upgrading('2.0.0', 'probation');
    expect(rollBack('service').code).toBe(0);
    expect(current()).toBe('versions/1.0.0');
    expect(readFileSync(join(folder, 'slept'), 'utf8').trim().split('\n')).toHaveLength(45);
  });

  it.each([
    ['probation', 0, 'versions/1.0.0'],
    ['swapping', 0, 'versions/1.0.0'],
    ['rolling_back', 0, 'versions/1.0.0'],
    ['staged', 1, 'versions/2.0.0'],
  ])('without an agent, in %s: exit code %i, %s', (phase, code, version) => {
    upgrading('2.0.0', phase);
    expect(rollBack('service').code).toBe(code);
    expect(current()).toBe(version);
  });

  it.each(['swapping', 'rolling_back'])(
    'undoes nothing where the version that runs is not the new one, in %s',
    (phase) => {
      upgrading('3.0.0', phase);
      expect(rollBack('service')).toMatchObject({
        code: 1,
        said: expect.stringContaining('nothing is undone') as string,
      });
      expect([current(), isStarted()]).toEqual(['versions/2.0.0', false]);
    },
  );

  it('says how it is used', () => {
    expect(run('agent')).toMatchObject({
      code: 2,
      said: expect.stringContaining('usage') as string,
    });
  });
});
