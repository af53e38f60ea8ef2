import { generateKeyPairSync, sign } from 'node:crypto';
import { access, mkdir, open, rm } from 'node:fs/promises';
import { hostname, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { isErrorCode } from '../protocol/index.js';
import {
  ENROLL_PATH,
  EnrollResponse,
  enrollmentProofText,
  rawPublicKey,
  type Host,
} from '../protocol/node/index.js';
import { requireSafeUrl } from './config.js';

export interface Enrollment {
  readonly manager: string;
  readonly token: string;
  readonly name: string;
  readonly dir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly allowPlaintext: boolean;
}

/** What this machine is, in the words of the protocol. */
export function describeHost(labels: Readonly<Record<string, string>>): Host {
  const { platform, arch } = process;
  if ((platform !== 'linux' && platform !== 'darwin') || (arch !== 'x64' && arch !== 'arm64')) {
    throw new FleetError('config_invalid', `${platform}/${arch} is not supported`);
  }
  return {
    os: platform,
    arch,
    hostname: hostname(),
    kernel: release(),
    memory_bytes: totalmem(),
    labels: { ...labels },
  };
}

/**
 * Makes this machine a node: a key that never leaves it, proven to the manager, against an id. A
 * refused enrollment leaves nothing behind; an enrolled directory is never enrolled again.
 */
export async function enroll(wanted: Enrollment): Promise<z.infer<typeof EnrollResponse>> {
  requireSafeUrl(wanted.manager, wanted.allowPlaintext);
  const { origin } = new URL(wanted.manager);
  if (await exists(join(wanted.dir, 'identity.json'))) {
    throw new FleetError('conflict', `${wanted.dir} is enrolled already; use another --dir`);
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicKey = rawPublicKey(privateKey);
  const proof = sign(
    null,
    Buffer.from(enrollmentProofText(origin, wanted.token, publicKey)),
    privateKey,
  );
  const answer = await post(`${origin}${ENROLL_PATH}`, {
    token: wanted.token,
    name: wanted.name,
    public_key: publicKey,
    proof: proof.toString('base64url'),
    host: describeHost(wanted.labels),
  });
  await mkdir(wanted.dir, { recursive: true, mode: 0o750 });
  const keyFile = join(wanted.dir, 'node.key');
  // A key without identity is what a crash right here leaves; it belongs to nobody.
  await rm(keyFile, { force: true });
  await writeNew(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
  if (!(await exists(join(wanted.dir, 'agent.toml')))) {
    await writeNew(join(wanted.dir, 'agent.toml'), configText(origin, wanted), 0o640);
  }
  const { node_id, group_id, name } = answer;
  const identity = { node_id, group_id, name, manager: origin };
  await writeNew(join(wanted.dir, 'identity.json'), `${JSON.stringify(identity)}\n`, 0o640);
  return answer;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function configText(origin: string, wanted: Enrollment): string {
  const labels = Object.entries(wanted.labels).map(
    ([key, value]) => `${JSON.stringify(key)} = ${JSON.stringify(value)}`,
  );
  return [
    '# What this node is and what runs on it. `bellwether-agent check` tells what is wrong.',
    `manager = ${JSON.stringify(origin)}`,
    ...(wanted.allowPlaintext ? ['allow_plaintext = true'] : []),
    ...(labels.length > 0 ? ['', '[labels]', ...labels] : []),
    '',
    '# [[services]]',
    '# name = "edge"',
    '# product = "edge"',
    '# root = "/opt/bellwether/edge"',
    '# exec = "bin/edge"',
    '# health = { kind = "http", url = "http://127.0.0.1:8080/health" }',
    '',
  ].join('\n');
}

async function post(url: string, body: unknown): Promise<z.infer<typeof EnrollResponse>> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(30_000),
    });
  } catch (error) {
    throw new FleetError('unavailable', `${url} cannot be reached`, { cause: error });
  }
  const text = await response.text();
  const json: unknown = text.startsWith('{') ? JSON.parse(text) : {};
  if (response.ok) return EnrollResponse.parse(json);
  const { code, detail } = json as { code?: string; detail?: string };
  throw new FleetError(
    code !== undefined && isErrorCode(code) ? code : 'unavailable',
    detail ?? `${url} answered ${response.status}`,
  );
}
