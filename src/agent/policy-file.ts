import { createHash } from 'node:crypto';
import { constants, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { ok, refuse, type Refusal, type Result } from '../core/kernel/index.js';
import { NodePolicy } from '../core/release/index.js';
import { problemsOf } from './config.js';

/** A policy with 32 signers has about 5 KiB. */
const POLICY_BYTES_MAX = 64 * 1024;

export type PolicyRead = Result<NodePolicy, Refusal<'upgrade_policy_invalid'>>;

interface Known {
  /** Identity and age of the file: while these are the same, its content is. */
  readonly mark: string;
  readonly digest: string;
  readonly policy: PolicyRead;
}

/**
 * `policy.toml` of one install root, looked at on every use and parsed when it changed. What is not
 * plainly a local file that only root or this user can change is refused, and with it every
 * upgrade: fail closed. No message reaches this file.
 */
export class PolicyFile {
  readonly path: string;
  readonly #onChange: (digest: string) => void;
  #known: Known | null = null;

  /** `onChange` is called when a reading differs from the one before it, not for the first. */
  constructor(root: string, onChange: (digest: string) => void = () => undefined) {
    this.path = join(root, 'policy.toml');
    this.#onChange = onChange;
  }

  async read(): Promise<PolicyRead> {
    return (await this.#look()).policy;
  }

  /** SHA-256 of the file in hex, or `invalid`. Tells drift, not content. */
  async digest(): Promise<string> {
    return (await this.#look()).digest;
  }

  async #look(): Promise<Known> {
    const before = this.#known;
    this.#known = await readGuarded(this.path, before);
    if (before !== null && before.digest !== this.#known.digest) this.#onChange(this.#known.digest);
    return this.#known;
  }
}

/** What `hello` tells of all policies of a node: the digest of the one file, or one over several. */
export async function policyDigest(
  files: readonly { readonly service: string; readonly file: PolicyFile }[],
): Promise<string> {
  const [only] = files;
  if (only === undefined) return '';
  if (files.length === 1) return only.file.digest();
  const hash = createHash('sha256');
  for (const { service, file } of files) hash.update(`${service} ${await file.digest()}\n`);
  return hash.digest('hex');
}

/** Every check is made on the open file, not on its name: it cannot be exchanged in between. */
async function readGuarded(path: string, before: Known | null): Promise<Known> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    return bad(path, describeOpenError((error as { code?: string }).code));
  }
  try {
    const found = await file.stat({ bigint: true });
    const problem = problemWith(found);
    if (problem !== null) return bad(path, problem);
    const mark = [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
    if (before?.mark === mark) return before;
    const bytes = await file.readFile();
    const digest = createHash('sha256').update(bytes).digest('hex');
    return { mark, digest, policy: parsePolicy(path, bytes) };
  } catch (error) {
    return bad(path, `cannot be read (${String((error as { code?: string }).code)})`);
  } finally {
    await file.close();
  }
}

function describeOpenError(code: string | undefined): string {
  if (code === 'ELOOP') return 'is a symbolic link';
  return code === 'ENOENT' ? 'is missing' : `cannot be read (${code ?? 'unknown'})`;
}

function problemWith(found: BigIntStats): string | null {
  if (!found.isFile()) return 'is not a file';
  const owner = Number(found.uid);
  if (owner !== 0 && owner !== process.getuid?.()) return 'belongs to somebody else (chown root)';
  if ((found.mode & 0o022n) !== 0n) return 'can be changed by others (chmod go-w)';
  return found.size > POLICY_BYTES_MAX ? `is larger than ${POLICY_BYTES_MAX} bytes` : null;
}

const bad = (path: string, problem: string): Known => ({
  mark: '',
  digest: 'invalid',
  policy: refuse('upgrade_policy_invalid', `${path} ${problem}`),
});

function parsePolicy(path: string, bytes: Buffer): PolicyRead {
  let toml: unknown;
  try {
    toml = parseToml(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    return refuse('upgrade_policy_invalid', `${path}: ${line ?? 'not TOML'}`);
  }
  const parsed = NodePolicy.safeParse(toml);
  if (parsed.success) return ok(parsed.data);
  return refuse('upgrade_policy_invalid', `${path}: ${problemsOf(parsed.error)}`);
}
