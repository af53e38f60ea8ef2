import {
  linkSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '../core/kernel/index.js';
import { bornAt } from './process-birth.js';

const LOCK_FILE = 'agent.lock';
const TRIES_MAX = 5;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}

/** The process that holds a lock of this content, or null when that has ended. */
function ownerOf(content: string): number | null {
  const [pidText = '', born = ''] = content.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid < 1) return null;
  // The start time tells a process from a later one with the same number.
  const isOwner = born === '' ? isAlive(pid) : bornAt(pid) === born;
  return isOwner ? pid : null;
}

const readLock = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return readSign(path);
  }
};

/** Of a lock that was taken on a full disk. */
function readSign(path: string): string | null {
  try {
    return `${readlinkSync(path)}\n`;
  } catch {
    return null;
  }
}

/**
 * On a disk that has no room for a file: a short symbolic link takes none but its name, and can be made by one
 * only, too. An agent that cannot start looks after nobody.
 */
function trySign(mine: string, path: string): boolean {
  return isMade(() => {
    symlinkSync(mine.trim(), path);
  });
}

/** The agent that holds this directory now, or null. */
export function lockOwner(dir: string): number | null {
  const content = readLock(join(dir, LOCK_FILE));
  return content === null ? null : ownerOf(content);
}

/**
 * One agent a directory, or one holder of another lock in it. It names a process and its start time, so
 * one that was killed does not keep it; a full disk does not prevent it. Returns the way to give it up. Throws
 * FleetError `conflict` when it is held, and the error of the file system when it cannot be written.
 */
export function holdLock(dir: string, name = LOCK_FILE): () => void {
  const path = join(dir, name);
  const mine = `${process.pid} ${bornAt(process.pid) ?? ''}\n`;
  // Written whole under another name first: nobody ever sees half a lock.
  const draft = `${path}.${process.pid}.${Math.round(performance.now() * 1000)}`;
  try {
    const isFull = !hasRoomFor(draft, mine);
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      if (isFull ? trySign(mine, path) : tryLink(draft, path)) {
        return () => {
          if (readLock(path) === mine) rmSync(path, { force: true });
        };
      }
      removeStale(dir, path);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw new FleetError('conflict', `the lock in ${dir} cannot be taken`);
}

/** Writes it, or says that the disk is full. */
function hasRoomFor(draft: string, text: string): boolean {
  try {
    writeFileSync(draft, text, { mode: 0o640 });
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    rmSync(draft, { force: true });
    return false;
  }
}

const tryLink = (draft: string, path: string): boolean =>
  isMade(() => {
    linkSync(draft, path);
  });

/** False when the name is taken. */
function isMade(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'EEXIST') return false;
    throw error;
  }
}

function removeStale(dir: string, path: string): void {
  const content = readLock(path);
  const owner = content === null ? null : ownerOf(content);
  if (owner !== null) throw heldBy(owner, dir);
  // Moved away, not removed: if another process has just taken the lock, it is put back.
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  const moved = ownerOf(readLock(aside) ?? '');
  if (moved !== null) tryLink(aside, path);
  rmSync(aside, { force: true });
  if (moved !== null) throw heldBy(moved, dir);
}

const heldBy = (pid: number, dir: string): FleetError =>
  new FleetError('conflict', `another agent (process ${pid}) runs on ${dir}`);
