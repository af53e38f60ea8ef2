// A package of the registry as one archive, for what a build or a test needs and the project does not depend on: fetched once by
// npm, compared with the digest that is written where it is asked for, and unpacked below node_modules/.cache.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = join(dirname(dirname(fileURLToPath(import.meta.url))), 'node_modules', '.cache');

/** What npm says when there is no way to the registry. */
const NO_WAY =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED)\b/;

/** The registry cannot be reached; everything else that goes wrong is a plain error. */
export class RegistryAway extends Error {}

const run = (command, args, cwd) => {
  const done = spawnSync(command, args, { encoding: 'utf8', cwd });
  if (done.status === 0) return done.stdout;
  const said = done.error?.message ?? `${done.stdout}${done.stderr}`;
  const Kind = command === 'npm' && NO_WAY.test(said) ? RegistryAway : Error;
  throw new Kind(`${command} ${args[0]} failed: ${said}`);
};

/**
 * The folder that holds the package, made once: `{ spec: 'name@1.2.3', integrity: 'sha512-…' }`. `keep` says what of it is
 * kept: it gets the folder of the package and one to fill; left out, all is. Throws RegistryAway.
 */
export function unpackedArchive({ spec, integrity }, name, keep) {
  const cache = join(CACHE, name);
  const folder = join(cache, createHash('sha256').update(`${spec} ${integrity}`).digest('hex'));
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, 'draft-'));
  try {
    const once = ['--fetch-retries=1', '--fetch-retry-mintimeout=2000'];
    const args = ['pack', spec, '--loglevel=error', ...once, '--pack-destination', draft];
    const said = run('npm', args, draft);
    const file = join(draft, said.trim().split('\n').at(-1));
    const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
    if (found !== integrity) throw new Error(`${spec} has the digest ${found}, not ${integrity}`);
    run('tar', ['-xzf', file, '-C', draft], draft);
    rmSync(file);
    let made = draft;
    if (keep !== undefined) {
      made = join(draft, 'kept');
      mkdirSync(made);
      keep(join(draft, 'package'), made);
    }
    try {
      renameSync(made, folder);
    } catch (error) {
      // Another one may have been faster: its copy is as good.
      if (!existsSync(folder)) throw error;
    }
    return folder;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
