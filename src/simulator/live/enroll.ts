import { sign } from 'node:crypto';
import { enrollmentProofText, type Host } from '../../protocol/node/index.js';
import type { Identity } from './identities.js';
import { keyOf, newKeySeed, publicKeyOf } from './keys.js';
import type { Client } from './parts.js';
import { patiently } from './patience.js';

/** Enrollments at once: the manager writes them one after another, so more would only wait. */
const AT_ONCE = 16;

export interface Newcomer {
  readonly name: string;
  readonly groupId: string;
  readonly host: Pick<Host, 'os' | 'arch' | 'labels'>;
}

/**
 * Enrolls each as an agent does: a one-time token, a new key, and a proof for it. In the order given.
 * `origin` is what the manager calls itself. Not idempotent: each call makes new nodes.
 */
export async function enrollAll(
  client: Client,
  origin: string,
  wanted: readonly Newcomer[],
  onProgress: (done: number) => void,
): Promise<readonly Identity[]> {
  const identities: Identity[] = [];
  let next = 0;
  let done = 0;
  const one = async (at: number, { name, groupId, host }: Newcomer): Promise<void> => {
    const body = { group_id: groupId };
    const { secret } = await patiently(() => client.call('enrollment.create', { body }));
    const key = newKeySeed();
    const publicKey = publicKeyOf(key);
    const text = enrollmentProofText(origin, secret, publicKey);
    const request = {
      token: secret,
      name,
      public_key: publicKey,
      proof: sign(null, Buffer.from(text), keyOf(key)).toString('base64url'),
      host: { ...host, hostname: name, kernel: 'simulated', memory_bytes: 1024 ** 3 },
    };
    const { node_id: id } = await patiently(() =>
      client.call('enrollment.enroll', { body: request }),
    );
    identities[at] = { id, name, key };
    done += 1;
    onProgress(done);
  };
  const lane = async (): Promise<void> => {
    while (next < wanted.length) {
      const at = next;
      next += 1;
      const newcomer = wanted[at];
      if (newcomer !== undefined) await one(at, newcomer);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, wanted.length) }, lane));
  return identities;
}
