import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { initializeCA, initializeCTLog, type CA } from '@sigstore/mock/dist/fulcio/index.js';
import { fulcioHandler } from '@sigstore/mock/dist/fulcio/index.js';
import { initializeTLog, rekorHandler } from '@sigstore/mock/dist/rekor/index.js';
import { initializeTSA, tsaHandler } from '@sigstore/mock/dist/timestamp/index.js';
import type { Json } from './json.js';

/**
 * A whole Sigstore in the process: an authority for certificates, a log for them, a log for signatures
 * and one for time, from the mock of the Sigstore authors. It is asked directly, without HTTP, and not
 * through the door of that package, which puts itself between every program and the network.
 */

type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
const newPair = (): Pair => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });
export const pemOf = (key: KeyObject): string =>
  key.export({ format: 'pem', type: 'spki' }).toString();

/** What an identity provider says about a run of a workflow. */
export interface Workflow {
  readonly issuer: string;
  readonly repository: string;
  readonly path: string;
  readonly ref: string;
  /** The name in the certificate, when it is not that of the workflow. */
  readonly identity?: string;
  /** Address of the workflow, when it is another than where it was started. */
  readonly startedBy?: string;
}

export const RELEASE_WORKFLOW: Workflow = {
  issuer: 'https://token.actions.githubusercontent.com',
  repository: 'acme/edge',
  path: '.github/workflows/release.yml',
  ref: 'refs/tags/v1.6.0',
};

/** As it stands in a policy. */
export const RELEASE_SIGNER = {
  name: 'release workflow',
  kind: 'sigstore' as const,
  issuer: RELEASE_WORKFLOW.issuer,
  repository: `https://github.com/${RELEASE_WORKFLOW.repository}`,
  workflow: RELEASE_WORKFLOW.path,
  ref: 'refs/tags/v*',
};

interface Entry {
  body: string;
  integratedTime: number;
  logID: string;
  logIndex: number;
  verification: {
    signedEntryTimestamp: string;
    inclusionProof: {
      logIndex: number;
      treeSize: number;
      rootHash: string;
      hashes: string[];
      checkpoint: string;
    };
  };
}

interface Issued {
  readonly signedCertificateEmbeddedSct: { readonly chain: { readonly certificates: string[] } };
}

interface Answered {
  readonly statusCode: number;
  readonly response: string | ArrayBufferView;
}

function jsonIn({ statusCode, response }: Answered): unknown {
  if (statusCode !== 201 || typeof response !== 'string') throw new Error('the mock refused');
  return JSON.parse(response);
}

export type BundleVersion = '0.1' | '0.2' | '0.3';

export interface Signing {
  readonly version?: BundleVersion;
  /** When the certificate begins to count; now when left out. */
  readonly certificateAt?: Date;
  /** When the log says that it took the entry; now when left out. */
  readonly loggedAt?: Date;
  /** Adds a time stamp of the authority for time. */
  readonly isStamped?: boolean;
}

const LOG_URL = 'https://log.example';

export class Sigstore {
  readonly #authority: Pair;
  readonly #certificates: Pair;
  readonly #log: Pair;
  readonly #time: Pair;
  #root: Json = {};
  #ca: CA | null = null;

  private constructor() {
    [this.#authority, this.#certificates] = [newPair(), newPair()];
    [this.#log, this.#time] = [newPair(), newPair()];
  }

  static async make(): Promise<Sigstore> {
    const made = new Sigstore();
    made.#root = await made.#makeRoot();
    return made;
  }

  /** The trusted root of this instance as JSON; each call gives a copy. */
  get root(): Json {
    return structuredClone(this.#root);
  }

  get rootText(): string {
    return JSON.stringify(this.#root);
  }

  async #makeRoot(): Promise<Json> {
    // One instance for all without another clock: each makes a root certificate of its own.
    this.#ca = await initializeCA(this.#authority, await initializeCTLog(this.#certificates));
    const tsa = await initializeTSA(this.#time);
    // Whatever is signed in a spec lies within these, also a little before now.
    const validFor = { start: new Date(Date.now() - 3_600_000).toISOString() };
    const raw = (bytes: ArrayBufferView): { rawBytes: string } => ({
      rawBytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
    });
    const log = ({ publicKey }: Pair, baseUrl: string): Json => ({
      baseUrl,
      hashAlgorithm: 'SHA2_256',
      publicKey: { ...raw(spkiOf(publicKey)), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
      logId: {
        keyId: createHash('sha256').update(spkiOf(publicKey)).digest('base64'),
      },
    });
    return {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [log(this.#log, LOG_URL)],
      certificateAuthorities: [
        {
          subject: { organization: 'sigstore.mock', commonName: 'sigstore' },
          uri: 'https://fulcio.example',
          certChain: { certificates: [raw(this.#ca.rootCertificate)] },
          validFor,
        },
      ],
      ctlogs: [log(this.#certificates, 'https://ct.example')],
      timestampAuthorities: [
        {
          subject: { organization: 'sigstore.mock', commonName: 'tsa' },
          uri: 'https://time.example',
          certChain: { certificates: [raw(tsa.intCertificate), raw(tsa.rootCertificate)] },
          validFor,
        },
      ],
    };
  }

  /** A workflow signs bytes, as with a key that lives for this one signature. */
  async signKeyless(
    bytes: Uint8Array,
    workflow: Workflow = RELEASE_WORKFLOW,
    signing: Signing = {},
  ): Promise<Json> {
    const pair = newPair();
    const certificate = await this.#certify(pair.publicKey, workflow, signing.certificateAt);
    const signature = sign('sha256', bytes, pair.privateKey);
    const pem = `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`;
    const version = signing.version ?? '0.3';
    const material =
      version === '0.3'
        ? { certificate: { rawBytes: certificate } }
        : { x509CertificateChain: { certificates: [{ rawBytes: certificate }] } };
    return this.#bundle(bytes, { signature, pem, material }, signing);
  }

  /** A key that somebody keeps signs bytes. */
  async signManaged(bytes: Uint8Array, pair: Pair, signing: Signing = {}): Promise<Json> {
    const signature = sign('sha256', bytes, pair.privateKey);
    const material = { publicKey: { hint: 'the key of the release' } };
    return this.#bundle(bytes, { signature, pem: pemOf(pair.publicKey), material }, signing);
  }

  async #certify(key: KeyObject, workflow: Workflow, at: Date | undefined): Promise<string> {
    const ca = at === undefined ? this.#ca : await this.#authorityAt(at);
    if (ca === null) throw new Error('not made');
    const { issuer, repository, path, ref, identity, startedBy } = workflow;
    const address = `${repository}/${path}@${ref}`;
    const claims = {
      iss: issuer,
      sub: identity ?? `https://github.com/${address}`,
      repository,
      ref,
      job_workflow_ref: address,
      workflow_ref: startedBy ?? address,
      sha: 'a'.repeat(40),
    };
    const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');
    const answer = await fulcioHandler(ca).fn(
      JSON.stringify({
        credentials: { oidcIdentityToken: `${part({ alg: 'none' })}.${part(claims)}.` },
        publicKeyRequest: { publicKey: { content: pemOf(key) } },
      }),
    );
    const { signedCertificateEmbeddedSct: issued } = jsonIn(answer) as Issued;
    const [pem] = issued.chain.certificates;
    return (pem ?? '').replaceAll(/-----[A-Z ]+-----|\s/g, '');
  }

  /** With the same key and name, so that its certificates lead to the root of this instance. */
  async #authorityAt(at: Date): Promise<CA> {
    return initializeCA(this.#authority, await initializeCTLog(this.#certificates), at);
  }

  async #bundle(
    bytes: Uint8Array,
    by: { readonly signature: Buffer; readonly pem: string; readonly material: object },
    { version = '0.3', loggedAt, isStamped = false }: Signing,
  ): Promise<Json> {
    const digest = createHash('sha256').update(bytes).digest();
    const entry = await this.logEntry({ digest, ...by }, loggedAt);
    const content = by.signature.toString('base64');
    return {
      mediaType:
        version === '0.3'
          ? 'application/vnd.dev.sigstore.bundle.v0.3+json'
          : `application/vnd.dev.sigstore.bundle+json;version=${version}`,
      verificationMaterial: {
        ...by.material,
        tlogEntries: [entry],
        ...(isStamped ? { timestampVerificationData: await this.#stamp(by.signature) } : {}),
      },
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_256', digest: digest.toString('base64') },
        signature: content,
      },
    };
  }

  /** An entry of the log as a bundle holds it, with promise and proof. */
  async logEntry(
    of: { readonly digest: Buffer; readonly signature: Buffer; readonly pem: string },
    at?: Date,
  ): Promise<Json> {
    const log = await initializeTLog(LOG_URL, this.#log, at);
    const proposed = {
      kind: 'hashedrekord',
      apiVersion: '0.0.1',
      spec: {
        data: { hash: { algorithm: 'sha256', value: of.digest.toString('hex') } },
        signature: {
          content: of.signature.toString('base64'),
          publicKey: { content: Buffer.from(of.pem).toString('base64') },
        },
      },
    };
    const answer = await rekorHandler(log).fn(JSON.stringify(proposed));
    const [entry] = Object.values(jsonIn(answer) as Record<string, Entry>);
    const { body, integratedTime, logID, logIndex, verification } = entry!;
    const { inclusionProof: proof, signedEntryTimestamp } = verification;
    return {
      logIndex: String(logIndex),
      logId: { keyId: Buffer.from(logID, 'hex').toString('base64') },
      kindVersion: { kind: 'hashedrekord', version: '0.0.1' },
      integratedTime: String(integratedTime),
      inclusionPromise: { signedEntryTimestamp },
      inclusionProof: {
        logIndex: String(proof.logIndex),
        rootHash: Buffer.from(proof.rootHash, 'hex').toString('base64'),
        treeSize: String(proof.treeSize),
        hashes: proof.hashes,
        checkpoint: { envelope: proof.checkpoint },
      },
      canonicalizedBody: body,
    };
  }

  async #stamp(signature: Buffer): Promise<Json> {
    // Whole seconds: the library reads fractions of three digits only, and DER leaves off zeros.
    const now = new Date(Math.floor(Date.now() / 1_000) * 1_000);
    const tsa = tsaHandler(await initializeTSA(this.#time, now));
    const artifactHash = createHash('sha256').update(signature).digest('base64');
    const request = { artifactHash, hashAlgorithm: 'sha256', certificates: true };
    const { response, statusCode } = await tsa.fn(JSON.stringify(request));
    if (statusCode !== 201 || typeof response === 'string') throw new Error('no time stamp');
    const { buffer, byteOffset, byteLength } = response;
    const signedTimestamp = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
    return { rfc3161Timestamps: [{ signedTimestamp }] };
  }
}
