import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import type { Terminal } from '../terminal.js';

/** A name that can stand in a shell as it is. */
export const ContextName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'take letters, digits and . _ - (64 at most)');

const Entry = z.strictObject({
  manager: z.url({ protocol: /^https?$/ }).max(2_048),
  /** Whom to trust there, and nobody else; left out: whom Node trusts. */
  ca_pem: z.string().max(256_000).optional(),
  /** An API token, or the session of a person. */
  token: z.string().max(512).optional(),
  /** Who signed in, for people to read. */
  login: z.string().max(256).optional(),
  expires_at: z.iso.datetime().optional(),
});
const Config = z.strictObject({
  version: z.literal(1),
  current: ContextName.nullable(),
  contexts: z.record(ContextName, Entry),
});
export type Config = z.infer<typeof Config>;
export type ContextEntry = z.infer<typeof Entry>;

const CONFIG_BYTES_MAX = 4 * 1024 * 1024;
const NOTHING: Config = { version: 1, current: null, contexts: {} };

/** `BELLWETHER_CONFIG`, else below XDG_CONFIG_HOME, else below ~/.config; null without any of them. */
export function configPath({ env }: Terminal): string | null {
  const said = env['BELLWETHER_CONFIG'] ?? '';
  if (said !== '') return said;
  const xdg = env['XDG_CONFIG_HOME'] ?? '';
  const home = env['HOME'] ?? '';
  // The specification of XDG says that a relative path does not count.
  if (xdg.startsWith('/')) return join(xdg, 'bellwether', 'config.json');
  return home === '' ? null : join(home, '.config', 'bellwether', 'config.json');
}

const unreadable = (path: string, why: string): FleetError =>
  new FleetError('local_file_failed', `${path}: ${why}`, {
    context: { fix: 'Mend or remove it, and sign in again with `bellwether login`.' },
  });

/**
 * What is written down; nothing when there is no file. A file that others may read is told about, and
 * used: the damage is done, and a command that stops would not undo it.
 */
export async function readConfig(terminal: Terminal): Promise<Config> {
  const path = configPath(terminal);
  if (path === null) return NOTHING;
  const found = await stat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return NOTHING;
  if (found.size > CONFIG_BYTES_MAX) throw unreadable(path, 'larger than any configuration is');
  if ((found.mode & 0o077) !== 0) {
    terminal.err(`note: others can read ${path}: run chmod 600 on it, and sign in again\n`);
  }
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch {
    throw unreadable(path, 'not JSON');
  }
  const parsed = Config.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw unreadable(path, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`);
}

/** Writes it whole or not at all, for nobody else to read. The last of two writers wins. */
export async function writeConfig(terminal: Terminal, config: Config): Promise<string> {
  const path = configPath(terminal);
  if (path === null) {
    throw new FleetError('local_file_failed', 'there is no place for the configuration', {
      context: { fix: 'Set HOME, XDG_CONFIG_HOME or BELLWETHER_CONFIG.' },
    });
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(Config.parse(config), null, 2)}\n`);
    await file.sync();
    await file.close();
    await chmod(draft, 0o600);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return path;
}
