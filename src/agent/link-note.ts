import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { LinkNews, LinkState } from './link/index.js';
import { lockOwner } from './lock.js';

const FILE = 'link.json';

const LinkNote = z.object({
  state: z.enum(['connecting', 'connected', 'waiting', 'stopped']),
  since: z.iso.datetime(),
  pid: z.int(),
  /** The way that carries the link, or that is tried (next). */
  transport: z.enum(['socket', 'poll']).nullable().default(null),
  manager: z.string().nullable().default(null),
  next_try: z.iso.datetime().nullable().default(null),
});
export type LinkNote = z.infer<typeof LinkNote>;

/**
 * Leaves the state of the link where `status` finds it. `connected` means that the manager has said
 * welcome: it knows this node. Only for people and scripts, so it is not made durable, and a disk
 * that is full is nothing to stop for.
 */
export function noteLink(
  dir: string,
  { state, news }: { readonly state: LinkState; readonly news?: LinkNews | undefined },
  nowMs: number,
): void {
  const path = join(dir, FILE);
  const inMs = news?.nextTryMs ?? null;
  const note: LinkNote = {
    state,
    since: new Date(nowMs).toISOString(),
    pid: process.pid,
    transport: news?.way.transport ?? null,
    manager: news?.way.origin ?? null,
    next_try: inMs === null ? null : new Date(nowMs + inMs).toISOString(),
  };
  try {
    writeFileSync(`${path}.tmp`, `${JSON.stringify(note)}\n`, { mode: 0o640 });
    renameSync(`${path}.tmp`, path);
  } catch {
    // The note before it names another process, or says less than there is.
  }
}

/** What the agent that runs now has noted; null when none runs, or it has not said anything yet. */
export function readLinkNote(dir: string): LinkNote | null {
  try {
    const note = LinkNote.parse(JSON.parse(readFileSync(join(dir, FILE), 'utf8')));
    return note.pid === lockOwner(dir) ? note : null;
  } catch {
    return null;
  }
}
