import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { IDENTITY_FILE, KEY_FILE } from '../config.js';
import { syncDirectory } from '../durable-files.js';

/** What makes a machine a node. `agent.toml` says what runs on it, and stays. */
const OF_THE_NODE = [IDENTITY_FILE, KEY_FILE, 'spool', 'link.json'];

/**
 * Removes identity, key and spool. Idempotent; the identity goes first, so that after a cut no agent
 * starts any more, and the next time removes the rest.
 */
export async function forgetNode(dir: string): Promise<void> {
  for (const name of OF_THE_NODE) {
    await rm(join(dir, name), { recursive: true, force: true });
    await syncDirectory(dir);
  }
}
