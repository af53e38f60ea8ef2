import { FleetError } from '../../../core/kernel/index.js';

const FULL = new Set(['ENOSPC', 'EDQUOT']);
const READ_ONLY = new Set(['EROFS', 'EACCES', 'EPERM']);

/** What a failed write says to whoever sent the bytes; other errors stay as they are. */
export function asStoreError(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  const told = (name: string, message: string): FleetError =>
    new FleetError(name, message, { kind: 'operational', cause: error });
  if (FULL.has(code)) {
    return told('blob_store_full', 'the disk of the manager is full; nothing was stored');
  }
  if (READ_ONLY.has(code)) {
    return told('blob_store_read_only', 'the manager may not write to its artifact store');
  }
  return error;
}
