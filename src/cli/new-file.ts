import { open, rm } from 'node:fs/promises';
import { FleetError } from '../core/kernel/index.js';

/** A new file that nobody else can read, waiting for its secret. */
export interface SecretFile {
  /** Writes the secret, durably. */
  fill(text: string): Promise<void>;
  /** Gives the place up; nothing stays behind. */
  drop(): Promise<void>;
}

/**
 * Makes the file before the secret exists, so that a secret which is shown only once is never lost
 * for want of a place. Throws `local_file_failed` when the file is there already.
 */
export async function reserveSecretFile(path: string): Promise<SecretFile> {
  const file = await openNew(path, 0o600);
  return {
    fill: async (text) => {
      await file.writeFile(text);
      await file.sync();
      await file.close();
    },
    drop: async () => {
      await file.close();
      await rm(path, { force: true });
    },
  };
}

/** Writes a file that was not there, durably. Throws `local_file_failed` when it was. */
export async function writeNew(path: string, text: string | Buffer, mode: number): Promise<void> {
  const file = await openNew(path, mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function openNew(path: string, mode: number) {
  return open(path, 'wx', mode).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new FleetError('local_file_failed', `${path} exists already`, {
      context: { fix: 'Take another place or name; nothing is overwritten.' },
    });
  });
}
