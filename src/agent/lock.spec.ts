import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountSmallDisk } from '../../test/support/small-disk.js';
import { holdLock, lockOwner } from './lock.js';

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-lock-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(dir, { recursive: true, force: true });
});
const lockFile = (): string => join(dir, 'agent.lock');

describe('the lock of a directory', () => {
  it('is held by one and refused to the next, with the process that holds it', () => {
    const release = holdLock(dir);
    expect(lockOwner(dir)).toBe(process.pid);
    expect(() => holdLock(dir)).toThrow(`process ${process.pid}`);
    release();
    expect(lockOwner(dir)).toBeNull();
    holdLock(dir)();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('is free again when its process was killed', async () => {
    const child = spawn('sleep', ['600']);
    children.push(child);
    const pid = child.pid ?? 0;
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const born = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    writeFileSync(lockFile(), `${pid} ${born}\n`);
    expect(() => holdLock(dir)).toThrow(`process ${pid}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    holdLock(dir)();
  });

  it('is not held by a later process with the same number', () => {
    writeFileSync(lockFile(), `${process.pid} 1\n`);
    holdLock(dir)();
  });

  it('is taken over when its file is empty or holds nonsense', () => {
    for (const content of ['', 'nonsense', '-1 5', '0 0', '99999999999999999999 1']) {
      writeFileSync(lockFile(), content);
      holdLock(dir)();
    }
  });

  it('is not removed by one who lost it', () => {
    const release = holdLock(dir);
    writeFileSync(lockFile(), '1 1\n');
    release();
    expect(readFileSync(lockFile(), 'utf8')).toBe('1 1\n');
  });

  const disk = mountSmallDisk();
  disk?.remove();
  it.skipIf(disk === null)('can be taken on a full disk, by one only', () => {
    const small = mountSmallDisk()!;
    try {
      writeFileSync(join(small.path, 'agent.lock'), '1 1\n');
      small.fill(1);
      const release = holdLock(small.path);
      expect(lockOwner(small.path)).toBe(process.pid);
      expect(() => holdLock(small.path)).toThrow(`process ${process.pid}`);
      release();
      expect(lockOwner(small.path)).toBeNull();
      const again = holdLock(small.path);
      small.free();
      expect(() => holdLock(small.path)).toThrow(`process ${process.pid}`);
      again();
      holdLock(small.path)();
      expect(readdirSync(small.path)).toEqual([]);
    } finally {
      small.remove();
    }
  });

  it('tells the error of the disk when it cannot be written', () => {
    expect(() => holdLock(join(dir, 'missing'))).toThrow('ENOENT');
  });
});
