import { constants } from 'node:fs';
import { lstat, mkdir, open, realpath, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { toLine } from '../../../core/event/index.js';
import { DeliveryError, failureOf } from './delivery-error.js';
import { delivered, failure, undelivered, type OpenReceiver } from './sink.port.js';

const EVENTS_MAX = 500;
const BYTES_MAX = 4 * 1024 * 1024;
const EVENT_BYTES_MAX = 1024 * 1024;
/** How far back a torn line is looked for: the longest that is written, with its end. */
const TAIL_BYTES = EVENT_BYTES_MAX + 1;

/**
 * Lines in a file, durable before the cursor moves. A file that has grown enough becomes `.1`, that one `.2`
 * and so on. What a kill or a full disk left of a line is cut off before the next is written. Files of others
 * are not followed through links, and nothing is written outside of the directory.
 */
export const openFile: OpenReceiver<'file'> = ({ config, filesDir, origin }) => {
  const path = join(filesDir, config.path);
  let file: FileHandle | null = null;
  let size = 0;

  const opened = async (): Promise<FileHandle> => {
    if (file !== null) return file;
    await mkdir(filesDir, { recursive: true, mode: 0o700 });
    await checkInside(filesDir, path);
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    if (!(await file.stat()).isFile()) throw new Error('it is no file');
    size = await mended(file);
    await syncFolder(path);
    return file;
  };
  const close = async (): Promise<void> => {
    const was = file;
    file = null;
    await was?.close();
  };

  return {
    limits: { events: EVENTS_MAX, bytes: BYTES_MAX, eventBytes: EVENT_BYTES_MAX },
    render: (event) => toLine(config.format, event, origin),
    deliver: async (batch, signal) => {
      try {
        const bytes = Buffer.from(batch.map(({ text }) => `${text}\n`).join(''));
        let target = await opened();
        if (size > 0 && size + bytes.length > config.rotate_bytes) {
          await close();
          await rotate(path, config.rotate_files);
          target = await opened();
        }
        if (signal.aborted) throw signal.reason;
        await writeAll(target, bytes, size);
        await target.datasync();
        size += bytes.length;
        return delivered(batch.length, `${bytes.length} bytes written to ${config.path}`);
      } catch (error) {
        // What was written of it is taken back; where that fails too, the next try cuts off half a line.
        await file?.truncate(size).catch(() => undefined);
        await close().catch(() => undefined);
        return undelivered(error instanceof DeliveryError ? error.failure : fileFailure(error));
      }
    },
    close,
  };
};

const fileFailure = (error: unknown) => {
  const { code = '' } = error as { readonly code?: string };
  if (code === '') return failureOf(error, 'the file');
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : code;
  return failure('sink_file_failed', `the file cannot be written: ${why}`);
};

/** The folder as it is, links resolved, must lie below the directory as it is. */
async function checkInside(filesDir: string, path: string): Promise<void> {
  const [base, folder] = [await realpath(filesDir), await realpath(dirname(path))];
  const inside = relative(base, folder);
  if (inside === '..' || inside.startsWith(`..${sep}`)) {
    throw new DeliveryError(
      'sink_file_failed',
      'the file is outside of the directory of sink files',
    );
  }
  const found = await lstat(path).catch(() => null);
  if (found !== null && !found.isFile()) {
    throw new DeliveryError('sink_file_failed', 'there is something else in place of the file');
  }
}

/** Cuts off what stands behind the last line end; gives the size. */
async function mended(file: FileHandle): Promise<number> {
  const { size } = await file.stat();
  const from = Math.max(0, size - TAIL_BYTES);
  const tail = Buffer.alloc(size - from);
  await file.read(tail, 0, tail.length, from);
  const end = from + tail.lastIndexOf('\n') + 1;
  if (end < size) await file.truncate(end);
  return end;
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function rotate(path: string, kept: number): Promise<void> {
  if (kept === 0) {
    await rm(path, { force: true });
    return;
  }
  await rm(`${path}.${kept}`, { force: true });
  for (let number = kept - 1; number >= 1; number -= 1) {
    await rename(`${path}.${number}`, `${path}.${number + 1}`).catch((error: unknown) => {
      if ((error as { code?: string }).code !== 'ENOENT') throw error;
    });
  }
  await rename(path, `${path}.1`);
}

/** A new name is durable only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
