import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FleetError } from '../core/kernel/index.js';
import {
  DOCUMENT_BYTES_MAX,
  judgeNewPolicy,
  judgePolicyUpdate,
  SIGNATURE_BYTES_MAX,
  type SignedDocument,
} from '../core/release/index.js';
import { replaceFile } from './durable-files.js';
import { parsePolicy, PolicyFile } from './policy-file.js';

const SIGNATURES_MAX = 16;

export interface PolicyUpdated {
  readonly sequence: number;
  /** Where the policy lies that was in force until now. */
  readonly before: string;
}

/**
 * Replaces the policy of one service by a signed one, under the rules of the policy that it
 * replaces: enough of its own signers, the same service and product, a higher sequence. The old file
 * is kept as `policy.toml.prev`; the new one is there whole or not at all. Only this function and an
 * editor write a policy, both by hand on the node. Throws FleetError with the reason; then nothing
 * was changed. Not idempotent: the same update again is `policy_update_too_old`.
 */
export async function updatePolicy(
  service: { readonly name: string; readonly product: string; readonly root: string },
  file: string,
  nowMs: number,
): Promise<PolicyUpdated> {
  const old = new PolicyFile(service.root);
  const policy = await old.read();
  if (!policy.ok) throw new FleetError(policy.error.code, policy.error.message);
  const signed = await readSignedFile(file);
  const { name, product } = service;
  const judged = judgePolicyUpdate(signed, {
    policy: policy.value,
    trust: await old.trust(),
    service: name,
    product,
    nowMs,
  });
  if (!judged.ok) throw new FleetError(judged.error.code, judged.error.message);
  const update = judged.value;
  const next = parsePolicy(`${file}: policy`, Buffer.from(update.policy, 'utf8'));
  if (!next.ok) throw new FleetError('policy_update_invalid', next.error.message);
  const fits = judgeNewPolicy(update, next.value);
  if (!fits.ok) throw new FleetError(fits.error.code, fits.error.message);
  const before = `${old.path}.prev`;
  await replaceFile(before, await readFile(old.path));
  await replaceFile(old.path, update.policy);
  return { sequence: update.sequence, before };
}

/** A document and the signatures that lie beside it under its name. */
async function readSignedFile(file: string): Promise<SignedDocument> {
  const folder = dirname(file);
  const name = basename(file);
  const beside = (await readdir(folder))
    .filter((one) => one.startsWith(`${name}.`) && /\.(minisig|sigstore\.json)$/.test(one))
    .sort()
    .slice(0, SIGNATURES_MAX);
  const document = await readSmall(file, DOCUMENT_BYTES_MAX);
  const signatures = await Promise.all(
    beside.map((one) => readSmall(join(folder, one), SIGNATURE_BYTES_MAX)),
  );
  return { document, signatures };
}

async function readSmall(path: string, bytesMax: number): Promise<string> {
  const { size } = await stat(path);
  if (size > bytesMax) {
    throw new FleetError('policy_update_invalid', `${path} is larger than ${bytesMax} bytes`);
  }
  return readFile(path, 'utf8');
}
