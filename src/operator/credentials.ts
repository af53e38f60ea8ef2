import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { FleetError } from '../core/kernel/index.js';
import type { WorkloadName } from '../core/workload/index.js';
import {
  enrollmentProofText,
  EnrollRequest,
  rawPublicKey,
  type Host,
} from '../protocol/node/index.js';
import { postInTurn, type Reach } from '../agent/parts/index.js';
import type { Cluster, Stored } from './kube/cluster.js';
import { markOf, tokenHash } from './names.js';

/** What the Secret holds. */
interface Kept {
  readonly key: string;
  readonly node_id: string;
  readonly token_hash: string;
}

export interface NodeIdentity {
  readonly nodeId: string;
  readonly key: KeyObject;
}

const encode = (text: string): string => Buffer.from(text).toString('base64');
const decode = (stored: Stored | null, name: string): string =>
  Buffer.from(stored?.data[name] ?? '', 'base64').toString('utf8');

export interface CredentialOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly clusterName: string;
  readonly manager: string;
  readonly reach: Reach;
  /** Read anew each time: a Secret that was rotated shows in its file. */
  readonly token: () => Promise<string>;
}

/**
 * The identity of one workload, in a Secret: its key, its id, and the hash of the token that enrolled
 * it. Where the token of now is another one, what is kept is thrown away and the workload is enrolled
 * anew; so a rotation is putting a new token into the Secret of tokens, as often as one likes.
 */
export class Credentials {
  readonly #options: CredentialOptions;
  readonly #at: { readonly namespace: string; readonly name: string };

  constructor(options: CredentialOptions, of: WorkloadName) {
    this.#options = options;
    this.#at = { namespace: options.namespace, name: `bellwether-node-${markOf(of)}` };
  }

  /**
   * Idempotent: the key is durable before the manager sees it, and the same key gets the same node.
   * Throws KubeError, and FleetError with the code of the manager's refusal.
   */
  async enrolled(name: string, host: Host): Promise<NodeIdentity> {
    const { cluster, token: readToken } = this.#options;
    const token = await readToken();
    const hash = tokenHash(token);
    let stored = await cluster.stored('secrets', this.#at.namespace, this.#at.name);
    const isOfToken = decode(stored, 'token_hash') === hash;
    if (isOfToken && decode(stored, 'node_id') !== '') return identityIn(stored);
    let key = isOfToken ? readKey(decode(stored, 'key')) : null;
    if (key === null) {
      key = generateKeyPairSync('ed25519').privateKey;
      stored = await this.#keep(stored, { key: pemOf(key), node_id: '', token_hash: hash });
    }
    const nodeId = await this.#enroll(name, host, { token, key });
    const kept = { key: pemOf(key), node_id: nodeId, token_hash: hash };
    return identityIn(await this.#keep(stored, kept));
  }

  /** Null when it was never enrolled. */
  async find(): Promise<NodeIdentity | null> {
    const { cluster } = this.#options;
    const stored = await cluster.stored('secrets', this.#at.namespace, this.#at.name);
    return decode(stored, 'node_id') === '' ? null : identityIn(stored);
  }

  forget(): Promise<void> {
    return this.#options.cluster.forget('secrets', this.#at.namespace, this.#at.name);
  }

  #keep(before: Stored | null, kept: Kept): Promise<Stored> {
    const data = Object.fromEntries(
      Object.entries(kept).map(([name, text]) => [name, encode(String(text))]),
    );
    const given = { data, labels: { 'bellwether.dev/part': 'node' } };
    return this.#options.cluster.store('secrets', this.#at, given, before);
  }

  async #enroll(
    name: string,
    host: Host,
    by: { readonly token: string; readonly key: KeyObject },
  ): Promise<string> {
    const { manager, clusterName, reach } = this.#options;
    const { origin } = new URL(manager);
    const publicKey = rawPublicKey(by.key);
    const text = enrollmentProofText(origin, by.token, publicKey);
    const request = EnrollRequest.safeParse({
      token: by.token,
      name,
      public_key: publicKey,
      proof: sign(null, Buffer.from(text), by.key).toString('base64url'),
      host,
      cluster: clusterName,
    });
    if (!request.success) throw new FleetError('invalid_request', request.error.message);
    return (await postInTurn([origin], request.data, reach)).node_id;
  }
}

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

function identityIn(stored: Stored | null): NodeIdentity {
  const key = readKey(decode(stored, 'key'));
  if (key === null) throw new FleetError('config_invalid', 'a key in a Secret cannot be read');
  return { nodeId: decode(stored, 'node_id'), key };
}
