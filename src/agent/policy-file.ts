import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { ok, refuse, type Refusal, type Result } from '../core/kernel/index.js';
import { NodePolicy } from '../core/release/index.js';

const POLICY_BYTES_MAX = 64 * 1024;

/**
 * Reads `policy.toml` of an install root. What is not plainly a local file that only its owner (root
 * or this user) can change is refused, and with it every upgrade: fail closed.
 */
export async function readPolicy(
  root: string,
): Promise<Result<NodePolicy, Refusal<'upgrade_policy_invalid'>>> {
  const path = join(root, 'policy.toml');
  const bytes = await readGuarded(path);
  if (typeof bytes === 'string') return refuse('upgrade_policy_invalid', `${path}: ${bytes}`);
  let toml: unknown;
  try {
    toml = parseToml(bytes.toString('utf8'));
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    return refuse('upgrade_policy_invalid', `${path}: ${line ?? 'not TOML'}`);
  }
  const parsed = NodePolicy.safeParse(toml);
  if (parsed.success) return ok(parsed.data);
  const problems = parsed.error.issues.map((i) => `${i.path.join('.') || 'file'}: ${i.message}`);
  return refuse('upgrade_policy_invalid', `${path}: ${problems.join('; ')}`);
}

/** SHA-256 over the policies of all services; tells drift, not content. */
export async function policyDigest(roots: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const root of roots) {
    const bytes = await readGuarded(join(root, 'policy.toml'));
    hash.update(root).update('\0').update(bytes);
  }
  return hash.digest('hex');
}

/** The bytes, or what is wrong with the file. Checks are made on the open file, not on its name. */
async function readGuarded(path: string): Promise<Buffer | string> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
  const file = await open(path, flags).catch((error: unknown) => {
    const { code } = error as { code?: string };
    return code === 'ELOOP' ? 'is a symbolic link' : 'cannot be read';
  });
  if (typeof file === 'string') return file;
  try {
    const found = await file.stat();
    if (!found.isFile()) return 'is not a file';
    if (found.uid !== 0 && found.uid !== process.getuid?.()) return 'belongs to somebody else';
    if ((found.mode & 0o022) !== 0) return 'can be changed by others (chmod go-w)';
    if (found.size > POLICY_BYTES_MAX) return `is larger than ${POLICY_BYTES_MAX} bytes`;
    return await file.readFile();
  } finally {
    await file.close();
  }
}
