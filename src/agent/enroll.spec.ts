import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ENROLL_PATH,
  enrollmentProofText,
  EnrollRequest,
  publicKeyFromRaw,
  rawPublicKey,
} from '../protocol/node/index.js';
import { readConfig, readIdentity } from './config.js';
import { enroll, type Enrollment } from './enroll.js';

const TOKEN = 'bwe_0123456789abcdefghij';
let folder: string;
let dir: string;
let server: Server;
let requests: EnrollRequest[];
let answer: { status: number; body: string; headers?: Record<string, string> };

const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const refusal = (code: string, status = 401): typeof answer => ({
  status,
  body: JSON.stringify({ code, detail: `detail of ${code}` }),
});

/** An address where nobody listens. */
async function deaf(): Promise<string> {
  const one = createServer().listen(0, '127.0.0.1');
  await once(one, 'listening');
  const { port } = one.address() as AddressInfo;
  one.close();
  await once(one, 'close');
  return `http://127.0.0.1:${port}`;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-enroll-'));
  dir = join(folder, 'etc', 'bellwether');
  requests = [];
  answer = {
    status: 201,
    body: JSON.stringify({
      node_id: 'nod_000000000001',
      group_id: 'grp_default',
      name: 'edge-01',
      added_later: 1,
    }),
  };
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      expect(request.url).toBe(ENROLL_PATH);
      requests.push(EnrollRequest.parse(JSON.parse(Buffer.concat(chunks).toString())));
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const join_ = (change: Partial<Enrollment> = {}): ReturnType<typeof enroll> =>
  enroll({
    manager: `${url()}/`,
    token: TOKEN,
    name: 'edge-01',
    dir,
    labels: { site: 'fra', 'rack.row': '7' },
    allowPlaintext: false,
    ...change,
  });

describe('enrolling', () => {
  it('proves a new key for this manager and this token, and keeps what it got', async () => {
    const identity = await join_();
    expect(identity).toEqual({
      node_id: 'nod_000000000001',
      group_id: 'grp_default',
      name: 'edge-01',
      manager: url(),
    });
    const [request] = requests;
    const key = publicKeyFromRaw(request?.public_key ?? '');
    const text = enrollmentProofText(url(), TOKEN, request?.public_key ?? '');
    const proof = Buffer.from(request?.proof ?? '', 'base64url');
    expect(key !== null && verify(null, Buffer.from(text), key, proof)).toBe(true);
    const stored = await readIdentity(dir);
    expect(stored.identity).toEqual(identity);
    expect(rawPublicKey(stored.key)).toBe(request?.public_key);
    expect((await readConfig(dir)).labels).toEqual({ site: 'fra', 'rack.row': '7' });
    expect(statSync(join(dir, 'node.key')).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir).sort()).toEqual(['agent.toml', 'identity.json', 'node.key']);
  });

  it('leaves nothing behind when it is refused, whatever the refusal', async () => {
    for (const code of [
      'enrollment_token_unknown',
      'enrollment_token_expired',
      'enrollment_token_used',
      'enrollment_proof_invalid',
      'rate_limited',
    ]) {
      answer = refusal(code);
      const message = `${url()} refused: detail of ${code}`;
      await expect(join_()).rejects.toMatchObject({ code, message });
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('leaves nothing behind when what answers is not a manager', async () => {
    for (const body of ['', '<html>', '{}', 'null', '{"node_id":7}', 'x'.repeat(100_000)]) {
      for (const status of [200, 201, 404, 500]) {
        answer = { status, body };
        await expect(join_()).rejects.toMatchObject({ code: 'unavailable' });
      }
    }
    answer = { status: 302, body: '', headers: { location: '/elsewhere' } };
    await expect(join_()).rejects.toMatchObject({ code: 'unavailable' });
    answer = refusal('a_code_of_nobody');
    await expect(join_()).rejects.toMatchObject({ code: 'unavailable' });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says that a manager that is not there cannot be reached, without the token', async () => {
    const manager = url();
    server.close();
    await once(server, 'close');
    const failing = enroll({
      manager,
      token: TOKEN,
      name: 'edge-01',
      dir,
      labels: {},
      allowPlaintext: false,
    });
    await expect(failing).rejects.toMatchObject({ code: 'unavailable' });
    await expect(failing).rejects.not.toThrow(TOKEN);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('keeps its key where the answer was lost, shows it again, and throws it away once it is refused', async () => {
    const cut = createServer((request, response) => {
      request.resume().on('end', () => response.destroy());
    });
    cut.listen(0, '127.0.0.1');
    await once(cut, 'listening');
    const managerUrls = [`http://127.0.0.1:${(cut.address() as AddressInfo).port}`];
    await expect(join_({ managerUrls })).rejects.toMatchObject({ code: 'unavailable' });
    const kept = readFileSync(join(dir, 'node.key'), 'utf8');
    await expect(join_({ managerUrls })).rejects.toMatchObject({ code: 'unavailable' });
    expect(readFileSync(join(dir, 'node.key'), 'utf8')).toBe(kept);
    await expect(join_({ managerUrls: [...managerUrls, url()] })).resolves.toMatchObject({
      node_id: 'nod_000000000001',
    });
    const key = createPublicKey(kept).export({ format: 'jwk' }).x;
    expect(requests.map(({ public_key }) => public_key)).toEqual([key]);
    cut.close();
  });

  it('asks one address after another, and is enrolled by the first that answers', async () => {
    const nobody = await deaf();
    const other = createServer((_request, response) => response.writeHead(502).end('<html>'));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const stranger = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    // The name in the proof stays that of the manager, whichever address carries it.
    const manager = 'https://manager.example';
    const managerUrls = [nobody, `${stranger}/`, `${url()}/some/path`];
    const identity = await join_({ manager, managerUrls });
    expect(identity).toMatchObject({ node_id: 'nod_000000000001', manager });
    const [request] = requests;
    const key = publicKeyFromRaw(request?.public_key ?? '');
    const text = enrollmentProofText(manager, TOKEN, request?.public_key ?? '');
    const proof = Buffer.from(request?.proof ?? '', 'base64url');
    expect(key !== null && verify(null, Buffer.from(text), key, proof)).toBe(true);
    other.close();
  });

  it('says what each address answered when all fail, and leaves nothing behind', async () => {
    const nobody = await deaf();
    answer = { status: 500, body: '<html>' };
    const failing = join_({ managerUrls: [nobody, url()] });
    await expect(failing).rejects.toMatchObject({
      code: 'unavailable',
      message: `${nobody} cannot be reached (ECONNREFUSED); ${url()} answered 500, but not as a manager does`,
    });
    answer = refusal('rate_limited', 429);
    await expect(join_({ managerUrls: [url(), nobody] })).rejects.toMatchObject({
      code: 'rate_limited',
      message: expect.stringContaining(`${nobody} cannot be reached`) as string,
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('does not ask elsewhere once the manager has refused', async () => {
    const nobody = await deaf();
    answer = refusal('enrollment_token_used');
    const asked = join_({ managerUrls: [nobody, url(), 'http://127.0.0.1:9'] });
    await expect(asked).rejects.toMatchObject({ code: 'enrollment_token_used' });
    await expect(asked).rejects.not.toThrow('127.0.0.1:9');
    await expect(asked).rejects.toThrow(`${nobody} cannot be reached`);
  });

  it('does not enroll twice, and changes nothing', async () => {
    await join_();
    const before = readFileSync(join(dir, 'node.key'), 'utf8');
    await expect(join_()).rejects.toMatchObject({ code: 'conflict' });
    expect(requests).toHaveLength(1);
    expect(readFileSync(join(dir, 'node.key'), 'utf8')).toBe(before);
  });

  it('uses the key again that an interrupted try left, and keeps a config that is there', async () => {
    await join_();
    const key = readFileSync(join(dir, 'node.key'), 'utf8');
    rmSync(join(dir, 'identity.json'));
    writeFileSync(join(dir, 'agent.toml'), `manager = "${url()}" # mine\n`);
    answer = refusal('enrollment_token_used');
    await expect(join_()).rejects.toMatchObject({ code: 'enrollment_token_used' });
    expect(readFileSync(join(dir, 'node.key'), 'utf8')).toBe(key);
    answer = {
      status: 201,
      body: '{"node_id":"nod_000000000002","group_id":"grp_default","name":"b"}',
    };
    expect((await join_()).node_id).toBe('nod_000000000002');
    expect(requests[2]?.public_key).toBe(requests[0]?.public_key);
    expect(readFileSync(join(dir, 'agent.toml'), 'utf8')).toContain('# mine');
  });

  it('refuses addresses that would show the token, before anything is made', async () => {
    for (const manager of [
      'http://manager.example',
      'ftp://manager.example',
      'https://user:pass@manager.example',
      'nonsense',
    ]) {
      await expect(join_({ manager })).rejects.toMatchObject({ code: 'invalid_request' });
    }
    expect(existsSync(dir)).toBe(false);
  });

  it('refuses input that the manager would not take, before it is asked', async () => {
    for (const change of [{ token: 'short' }, { name: '' }, { labels: { Site: 'x' } }]) {
      await expect(join_(change)).rejects.toMatchObject({ code: 'invalid_request' });
    }
    expect(requests).toHaveLength(0);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('keeps a directory that was there before', async () => {
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'notes'), '');
    answer = refusal('enrollment_token_used');
    await expect(join_()).rejects.toMatchObject({ code: 'enrollment_token_used' });
    expect(readdirSync(dir)).toEqual(['notes']);
  });
});
