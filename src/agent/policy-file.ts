import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { ok, refuse, type Refusal, type Result } from '../core/kernel/index.js';
import {
  needsTrustedRoot,
  NodePolicy,
  parseTrustedRoot,
  POLICY_BYTES_MAX,
  TRUSTED_ROOT_BYTES_MAX,
  type SigstoreTrust,
} from '../core/release/index.js';
import { problemsOf } from './config.js';
import { GuardedFile } from './guarded-file.js';
import { problemsOfLocalWindow } from './local-window.js';

const TRUSTED_ROOT_FILE = 'trusted_root.json';

export type PolicyRead = Result<
  NodePolicy,
  Refusal<'upgrade_policy_invalid' | 'upgrade_trusted_root_invalid'>
>;

interface Known {
  readonly digest: string;
  readonly policy: PolicyRead;
  /** Null when the policy needs none; never null beside a policy that needs it. */
  readonly trust: SigstoreTrust | null;
}

/**
 * `policy.toml` of one install root, and `trusted_root.json` beside it when the policy lists Sigstore
 * signers. Looked at on every use. What is not plainly a local file that only root or this user can
 * change is refused, and with it every upgrade: fail closed. No message reaches these files.
 */
export class PolicyFile {
  readonly path: string;
  readonly #policy: GuardedFile<PolicyRead>;
  readonly #root: GuardedFile<ReturnType<typeof parseTrustedRoot>>;
  readonly #onChange: (digest: string) => void;
  #known: Known | null = null;

  /** `onChange` is called when a reading differs from the one before it, not for the first. */
  constructor(root: string, onChange: (digest: string) => void = () => undefined) {
    const path = join(root, 'policy.toml');
    this.path = path;
    this.#policy = new GuardedFile<PolicyRead>(path, {
      bytesMax: POLICY_BYTES_MAX,
      parse: (bytes) => parsePolicy(path, bytes),
      without: (problem) => refuse('upgrade_policy_invalid', `${path} ${problem}`),
    });
    const rootPath = join(root, TRUSTED_ROOT_FILE);
    const bad = (problem: string): ReturnType<typeof parseTrustedRoot> =>
      refuse('upgrade_trusted_root_invalid', problem);
    this.#root = new GuardedFile(rootPath, {
      bytesMax: TRUSTED_ROOT_BYTES_MAX,
      parse: (bytes) => {
        const read = parseTrustedRoot(bytes);
        return read.ok ? read : bad(`${rootPath}: ${read.error.message}`);
      },
      without: (problem) => bad(`${rootPath} ${problem}; the policy lists Sigstore signers`),
    });
    this.#onChange = onChange;
  }

  async read(): Promise<PolicyRead> {
    return (await this.#look()).policy;
  }

  /** What Sigstore signatures lean on; null when the policy needs none, or is refused. */
  async trust(): Promise<SigstoreTrust | null> {
    return (await this.#look()).trust;
  }

  /** SHA-256 in hex over all that decides here, or `invalid`. Tells drift, not content. */
  async digest(): Promise<string> {
    return (await this.#look()).digest;
  }

  async #look(): Promise<Known> {
    const before = this.#known;
    this.#known = await this.#readBoth();
    if (before !== null && before.digest !== this.#known.digest) this.#onChange(this.#known.digest);
    return this.#known;
  }

  async #readBoth(): Promise<Known> {
    const { value: policy, digest } = await this.#policy.look();
    if (!policy.ok || !needsTrustedRoot(policy.value.signers)) {
      return { digest, policy, trust: null };
    }
    const root = await this.#root.look();
    if (!root.value.ok) return { digest: 'invalid', policy: root.value, trust: null };
    const both = createHash('sha256').update(`${digest} ${root.digest}`).digest('hex');
    return { digest: both, policy, trust: root.value.value };
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

/** The text of a policy; `path` stands in what is said about it. */
export function parsePolicy(path: string, bytes: Buffer): PolicyRead {
  let toml: unknown;
  try {
    toml = parseToml(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    return refuse('upgrade_policy_invalid', `${path}: ${line ?? 'not TOML'}`);
  }
  const parsed = NodePolicy.safeParse(toml);
  if (parsed.success) {
    const problems = problemsOfLocalWindow(parsed.data);
    if (problems.length === 0) return ok(parsed.data);
    return refuse('upgrade_policy_invalid', `${path}: ${problems.join('; ')}`);
  }
  return refuse('upgrade_policy_invalid', `${path}: ${problemsOf(parsed.error)}`);
}
