import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changeControl, ControlFile } from './control-file.js';

let root: string;
let path: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'bellwether-control-'));
  path = join(root, 'control.json');
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const OFF = '{"schema":"bellwether.control.v1","enabled":false,"pin":null}';
const codeOf = async (): Promise<string | null> => {
  const judged = await new ControlFile(root).judge('1.0.0');
  return judged.ok ? null : judged.error.code;
};

describe('control.json', () => {
  it('that is not there holds nothing up', async () => {
    expect(await codeOf()).toBeNull();
  });

  it('is written whole, and read again', async () => {
    await changeControl(root, { pin: '1.4.0' });
    expect(await codeOf()).toBe('upgrade_pinned');
    expect(await changeControl(root, { enabled: false })).toMatchObject({ pin: '1.4.0' });
    expect(await codeOf()).toBe('upgrade_disabled');
    await changeControl(root, { enabled: true, pin: null });
    expect(await codeOf()).toBeNull();
  });

  it.each([
    [
      'a symbolic link',
      () => {
        writeFileSync(join(root, 'other'), OFF);
        symlinkSync(join(root, 'other'), path);
      },
    ],
    [
      'writable by its group',
      () => {
        writeFileSync(path, OFF);
        chmodSync(path, 0o660);
      },
    ],
    [
      'no JSON',
      () => {
        writeFileSync(path, '{"enabled":');
      },
    ],
    [
      'of another form',
      () => {
        writeFileSync(path, '{"schema":"bellwether.control.v1","enabled":true,"pinned":"1.0.0"}');
      },
    ],
    [
      'far too large',
      () => {
        writeFileSync(path, OFF.padEnd(5_000));
      },
    ],
  ])('that is %s lets nothing come, and no command changes it', async (_, spoil) => {
    spoil();
    expect(await codeOf()).toBe('upgrade_policy_invalid');
    const file = new ControlFile(root);
    await file.read();
    expect(file.told).toEqual({ enabled: false, pin: null });
    await expect(changeControl(root, { enabled: true })).rejects.toMatchObject({
      code: 'upgrade_policy_invalid',
    });
  });

  it('changed by many at once loses none of the changes', async () => {
    const changes = Array.from({ length: 10 }, (_, index) =>
      changeControl(root, index % 2 === 0 ? { pin: '1.4.0' } : { enabled: false }),
    );
    await Promise.all(changes);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ enabled: false, pin: '1.4.0' });
  });

  it('tells a change once, and none at its first look', async () => {
    const told: boolean[] = [];
    const file = new ControlFile(root, ({ enabled }) => told.push(enabled));
    await file.read();
    await changeControl(root, { enabled: false });
    await file.read();
    await file.read();
    expect(told).toEqual([false]);
  });
});
