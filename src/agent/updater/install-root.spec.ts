import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freshState, type UpdateState } from '../../core/update/index.js';
import { InstallRoot, MARKER } from './install-root.js';

const NAMES = { service: 'edge', product: 'edge', variant: 'default' };

let folder: string;
let root: InstallRoot;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-root-'));
  root = new InstallRoot(folder);
  await root.prepare();
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const MARK = { channel: 'beta', sequence: 7, state_schema: 4 } as const;
const install = (version: string, marker: unknown = { version, ...MARK }) => {
  mkdirSync(root.versionPath(version), { recursive: true });
  writeFileSync(join(root.versionPath(version), MARKER), JSON.stringify(marker));
};
const statePath = (): string => join(folder, 'state.json');
const setAside = (): string[] => readdirSync(folder).filter((name) => name.includes('corrupt'));

describe('the links', () => {
  it('move by one rename: whoever looks all the time never finds nothing', async () => {
    install('1.0.0');
    install('1.1.0');
    await root.link('current', '1.0.0');
    // Another process, so that it can look in the middle of every step.
    const watcher = spawn(process.execPath, [
      '-e',
      `const fs = require('node:fs');
       let looks = 0, misses = 0;
       process.on('SIGTERM', () => { console.log(JSON.stringify({ looks, misses })); process.exit(); });
       (function look() {
         for (let i = 0; i < 500; i += 1) {
           looks += 1;
           try { fs.readFileSync(process.argv[1]); } catch { misses += 1; }
         }
         setImmediate(look);
       })();
       console.log('ready');`,
      join(folder, 'current', MARKER),
    ]);
    let said = '';
    watcher.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(watcher.stdout, 'data');
    for (let i = 0; i < 300; i += 1) await root.link('current', i % 2 === 0 ? '1.1.0' : '1.0.0');
    watcher.kill('SIGTERM');
    await once(watcher, 'close');
    const { looks, misses } = JSON.parse(said.split('\n')[1] ?? '') as Record<string, number>;
    expect(looks).toBeGreaterThan(500);
    expect(misses).toBe(0);
  });

  it('are relative, so that the whole root can be moved', async () => {
    install('1.0.0');
    await root.link('current', '1.0.0');
    expect(readlinkSync(join(folder, 'current'))).toBe('versions/1.0.0');
    expect(await root.linked('current')).toBe('1.0.0');
    await root.link('current', null);
    expect(await root.linked('current')).toBeNull();
  });

  it('that lead elsewhere are nobody’s version', async () => {
    for (const target of ['/etc', 'versions', 'versions/..', 'versions/nonsense', '../1.0.0']) {
      symlinkSync(target, join(folder, 'current'));
      expect(await root.linked('current')).toBeNull();
      rmSync(join(folder, 'current'));
    }
  });
});

describe('what a killed agent left', () => {
  it('is removed at the next start, and nothing else is', async () => {
    for (const name of ['.state.json.4711.tmp', '.state.json.4711']) {
      writeFileSync(join(folder, name), '{');
    }
    symlinkSync('versions/1.0.0', join(folder, 'current.tmp'));
    writeFileSync(join(folder, 'policy.toml'), '');
    await root.prepare();
    expect(readdirSync(folder).sort()).toEqual(['downloads', 'policy.toml', 'versions']);
  });
});

describe('garbage', () => {
  it('is every version but current, previous and what is kept, half ones too', async () => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.3.0']) install(version);
    mkdirSync(`${root.versionPath('1.4.0')}.partial`);
    await root.link('previous', '1.0.0');
    await root.link('current', '1.1.0');
    await root.collectGarbage(['1.2.0', null]);
    expect(readdirSync(join(folder, 'versions')).sort()).toEqual(['1.0.0', '1.1.0', '1.2.0']);
  });
});

describe('state.json', () => {
  const saved = async (): Promise<UpdateState> => {
    install('1.0.0');
    install('0.9.0');
    await root.link('previous', '0.9.0');
    await root.link('current', '1.0.0');
    const current = { version: '1.0.0', ...MARK };
    const state = { ...freshState(NAMES), current, floors: { beta: 7 }, generation: 12 };
    await root.saveState(state);
    return state;
  };

  it('comes back as it was saved', async () => {
    const state = await saved();
    expect(await root.loadState(NAMES)).toEqual({ state, damage: null });
  });

  it('is a fresh one where nothing was ever installed', async () => {
    expect(await root.loadState(NAMES)).toEqual({ state: freshState(NAMES), damage: null });
  });

  it.each([
    ['empty', () => ''],
    ['half written', (text: string) => text.slice(0, text.length / 2)],
    ['of zeroes, as a power cut leaves it', () => '\0'.repeat(4_096)],
    ['of another shape', () => '[]'],
    ['of nothing', () => 'null'],
    ['of a future version', (text: string) => text.replace('state.v1', 'state.v2')],
    ['of another service', (text: string) => text.replace('"service": "edge"', '"service": "x"')],
    ['out of bounds', (text: string) => text.replace('"generation": 12', '"generation": -1')],
    ['far too large', (text: string) => text + ' '.repeat(5 * 1024 * 1024)],
  ])('that is %s is set aside whole and built anew from what is installed', async (_, spoil) => {
    await saved();
    const spoilt = spoil(readFileSync(statePath(), 'utf8'));
    writeFileSync(statePath(), spoilt);
    const { state, damage } = await root.loadState(NAMES);
    expect(damage).not.toBeNull();
    expect(state).toEqual({
      ...freshState(NAMES),
      current: { version: '1.0.0', ...MARK },
      previous: { version: '0.9.0', ...MARK },
      floors: { beta: 7 },
    });
    expect(setAside()).toHaveLength(1);
    expect(readFileSync(join(folder, setAside()[0]!), 'utf8')).toBe(spoilt);
    await root.saveState(state);
    expect((await root.loadState(NAMES)).damage).toBeNull();
  });

  it.each<[string, () => void, string]>([
    ['its group can write', () => chmodSync(statePath(), 0o660), 'it can be changed by others'],
    [
      'is a link',
      () => {
        renameSync(statePath(), join(folder, 'elsewhere'));
        symlinkSync(join(folder, 'elsewhere'), statePath());
      },
      'it is a symbolic link',
    ],
    [
      'is a folder',
      () => {
        rmSync(statePath());
        mkdirSync(statePath());
      },
      'it is not a file',
    ],
  ])('that %s is not trusted: set aside, and built anew', async (_, spoil, why) => {
    const { floors } = await saved();
    const lowered = readFileSync(statePath(), 'utf8').replace('"beta": 7', '"beta": 1');
    writeFileSync(statePath(), lowered);
    spoil();
    const { state, damage } = await root.loadState(NAMES);
    expect(damage).toContain(why);
    expect(state).toMatchObject({ generation: 0, floors, current: { version: '1.0.0' } });
    expect(setAside()).toHaveLength(1);
    await root.saveState(state);
    expect((await root.loadState(NAMES)).damage).toBeNull();
  });

  it('that is gone while something is installed is told, not taken for a fresh start', async () => {
    await saved();
    rmSync(statePath());
    const { state, damage } = await root.loadState(NAMES);
    expect([state.current?.version, damage]).toEqual(['1.0.0', 'it is missing']);
  });

  it.each([
    ['null'],
    ['"text"'],
    ['{"channel":"nonsense","sequence":"x"}'],
    ['{"sequence":-4}'],
    ['{'],
  ])('is built anew also where the marker of the version is %s', async (marker) => {
    await saved();
    writeFileSync(statePath(), '');
    writeFileSync(join(root.versionPath('1.0.0'), MARKER), marker);
    const { state } = await root.loadState(NAMES);
    expect(state.current).toEqual({
      version: '1.0.0',
      channel: 'stable',
      sequence: 0,
      state_schema: null,
    });
    await root.saveState(state);
    expect((await root.loadState(NAMES)).damage).toBeNull();
  });
});
