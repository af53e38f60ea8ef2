import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { access, mkdir, readFile, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify as toToml } from 'smol-toml';
import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { ERRORS, isErrorCode } from '../protocol/index.js';
import {
  ENROLL_PATH,
  enrollmentProofText,
  EnrollRequest,
  EnrollResponse,
  rawPublicKey,
} from '../protocol/node/index.js';
import {
  CONFIG_FILE,
  findIdentity,
  IDENTITY_FILE,
  KEY_FILE,
  problemsOf,
  type Identity,
} from './config.js';
import { createFile } from './durable-files.js';
import { describeHost } from './host.js';
import { agentFor, ask, bytesOf, type Reach } from './link/index.js';
import { holdLock } from './lock.js';
import { problemWithUrl } from './safe-url.js';

const ANSWER_TIMEOUT_MS = 30_000;
/** An answer is below 1 KiB. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Nothing was sent: nobody can have taken it. */
const NEVER_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

export interface Enrollment {
  /** As the manager calls itself: what the proof of the key is made for. */
  readonly manager: string;
  /** Where it is reached, in the order in which it is tried; `manager` alone when not given. */
  readonly managerUrls?: readonly string[] | undefined;
  readonly token: string;
  readonly name: string;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly allowPlaintext: boolean;
  /** Of Kubernetes; a cluster token is good for its own cluster only. */
  readonly cluster?: string | undefined;
  /** How to get there: proxy, trusted certificates, pins. */
  readonly reach?: Reach;
  /** Settings of the same kind that a new `agent.toml` is to hold. */
  readonly settings?: Readonly<Record<string, string | readonly string[]>>;
}

const Problem = z.looseObject({ code: z.string(), detail: z.string().max(1_000) });

/**
 * Makes this machine a node: a key that never leaves it, proven to the manager, against an id. A
 * refused enrollment leaves nothing behind. The key is durable before it is shown to the manager
 * and is never overwritten: one that an interrupted try left, or one whose answer was lost, is used
 * again, and the manager tells the same key the same node. `identity.json` comes last; where it is,
 * the node is enrolled. Throws FleetError: `conflict` when it is enrolled
 * already, `invalid_request`, `unavailable`, `manager_pin_mismatch`, or the code of the manager's
 * refusal; the message says what each address answered that was tried.
 */
export async function enroll(wanted: Enrollment): Promise<Identity> {
  for (const url of [wanted.manager, ...(wanted.managerUrls ?? [])]) {
    const problem = problemWithUrl(url, wanted.allowPlaintext);
    if (problem !== null) throw new FleetError('invalid_request', problem);
  }
  const made = await mkdir(wanted.dir, { recursive: true, mode: 0o750 });
  const unlock = holdLock(wanted.dir);
  try {
    const known = await findIdentity(wanted.dir);
    if (known !== null) {
      const message = `${wanted.dir} is enrolled already, as ${known.name} (${known.node_id})`;
      throw new FleetError('conflict', message);
    }
    return await enrollHere(wanted);
  } finally {
    unlock();
    if (made !== undefined) await removeEmpty(wanted.dir, made);
  }
}

async function enrollHere(wanted: Enrollment): Promise<Identity> {
  const { origin } = new URL(wanted.manager);
  const keyFile = join(wanted.dir, KEY_FILE);
  const { key, isNew } = await ownKey(keyFile);
  let answer: z.infer<typeof EnrollResponse>;
  const lost: string[] = [];
  try {
    const { managerUrls = [wanted.manager], reach = {} } = wanted;
    const origins = [...new Set(managerUrls.map((url) => new URL(url).origin))];
    const request = requestOf(wanted, key);
    answer = await postInTurn(origins, request, reach, (origin) => lost.push(origin));
  } catch (error) {
    const isRefused = error instanceof FleetError && isFinal(error.code);
    if (isNew && (isRefused || lost.length === 0)) await rm(keyFile, { force: true });
    throw error;
  }
  const configFile = join(wanted.dir, CONFIG_FILE);
  if (!(await exists(configFile))) await createFile(configFile, configText(origin, wanted), 0o640);
  const identity: Identity = { ...answer, manager: origin };
  const text = `${JSON.stringify(identity, null, 2)}\n`;
  await createFile(join(wanted.dir, IDENTITY_FILE), text, 0o640);
  return identity;
}

async function ownKey(file: string): Promise<{ key: KeyObject; isNew: boolean }> {
  if (await exists(file)) {
    return { key: createPrivateKey(await readFile(file, 'utf8')), isNew: false };
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  await createFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  return { key: privateKey, isNew: true };
}

function requestOf(wanted: Enrollment, key: KeyObject): EnrollRequest {
  const { origin } = new URL(wanted.manager);
  const publicKey = rawPublicKey(key);
  const text = enrollmentProofText(origin, wanted.token, publicKey);
  const parsed = EnrollRequest.safeParse({
    token: wanted.token,
    name: wanted.name,
    public_key: publicKey,
    proof: sign(null, Buffer.from(text), key).toString('base64url'),
    host: describeHost(wanted.labels),
    cluster: wanted.cluster,
  });
  if (parsed.success) return parsed.data;
  throw new FleetError('invalid_request', problemsOf(parsed.error));
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Takes away the directories that were made for nothing; one that holds something stays. */
async function removeEmpty(dir: string, first: string): Promise<void> {
  for (let at = dir; at.length >= first.length; at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}

function configText(origin: string, wanted: Enrollment): string {
  const own = {
    manager: origin,
    ...(wanted.allowPlaintext ? { allow_plaintext: true } : {}),
    ...wanted.settings,
    ...(Object.keys(wanted.labels).length > 0 ? { labels: wanted.labels } : {}),
  };
  return `# What this node is and what runs on it; \`bellwether-agent policy check\` tells what is wrong.
${toToml(own)}
# [[services]]
# name = "edge"
# product = "edge"
# root = "/opt/bellwether/edge"
# exec = "bin/edge"
# health = { kind = "http", url = "http://127.0.0.1:8080/health" }
`;
}

/**
 * At one address after another, until one enrolls or refuses as a manager does. What went wrong
 * before is told, too. `onLost` is called where a request left and no answer came back: the manager
 * may have taken it, and would say so to the same key again.
 */
export async function postInTurn(
  origins: readonly string[],
  body: EnrollRequest,
  reach: Reach,
  onLost: (origin: string) => void = () => undefined,
): Promise<z.infer<typeof EnrollResponse>> {
  const failures: FleetError[] = [];
  for (const origin of origins) {
    try {
      return await post(origin, body, reach, onLost);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      const message = `${origin} ${error.message}`;
      failures.push(new FleetError(error.code, message, { kind: error.kind, cause: error }));
      if (isFinal(error.code)) break;
    }
  }
  throw worstOf(failures);
}

/** The manager itself has decided: it would say the same at its other addresses. */
function isFinal(code: string): boolean {
  const status = isErrorCode(code) ? ERRORS[code].http : null;
  return status !== null && status < 500 && status !== 429;
}

function worstOf(failures: readonly FleetError[]): FleetError {
  const last = failures.at(-1) ?? new FleetError('internal_error', 'no address was asked');
  if (failures.length <= 1) return last;
  const telling = failures.findLast(({ code }) => code !== 'unavailable') ?? last;
  const message = failures.map((failure) => failure.message).join('; ');
  return new FleetError(telling.code, message, { kind: telling.kind, cause: telling });
}

/** Errors go on from the name of the address. */
async function post(
  origin: string,
  body: EnrollRequest,
  reach: Reach,
  onLost: (origin: string) => void,
): Promise<z.infer<typeof EnrollResponse>> {
  let status: number;
  let text: string;
  try {
    const response = await ask(`${origin}${ENROLL_PATH}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
      agent: origin.startsWith('https:') && agentFor(reach, false),
      timeoutMs: ANSWER_TIMEOUT_MS,
      silenceMs: ANSWER_TIMEOUT_MS,
    });
    status = response.statusCode ?? 0;
    const bytes = await bytesOf(response, ANSWER_BYTES_MAX);
    if (bytes === null) throw new FleetError('unavailable', 'answered more than a manager does');
    text = bytes.toString('utf8');
  } catch (error) {
    if (error instanceof FleetError && error.code === 'unavailable') throw error;
    if (error instanceof FleetError) {
      throw new FleetError(error.code, `is not trusted: ${error.message}`, { cause: error });
    }
    const { code, message } = error as { code?: string; message?: string };
    if (!NEVER_SENT.includes(code ?? '')) onLost(origin);
    throw new FleetError('unavailable', `cannot be reached (${code ?? message ?? ''})`, {
      kind: 'operational',
      cause: error,
    });
  }
  const json = parseJson(text);
  const answer = EnrollResponse.safeParse(json);
  if (status === 201 && answer.success) return answer.data;
  const problem = Problem.safeParse(json);
  if (problem.success && isErrorCode(problem.data.code)) {
    throw new FleetError(problem.data.code, `refused: ${problem.data.detail}`);
  }
  throw new FleetError('unavailable', `answered ${status}, but not as a manager does`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
