import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join as at } from 'node:path';
import { PassThrough } from 'node:stream';
import { inspect } from 'node:util';
import type { Logger } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/cli/program.js';
import { makeNodeToken } from '../../src/protocol/node/index.js';
import { startManager, type Manager } from '../../src/server/manager.js';
import {
  Database,
  loadConfig,
  LOGGER,
  makeLogger,
  newId,
  redactedConfig,
  Secrets,
} from '../../src/server/platform/index.js';
import { makeTempDir } from '../support/databases.js';
import { callRoute, enrollBody, makeClock } from '../support/manager.js';
import { makeBrowser, type Browser } from '../support/people/browser.js';
import { withSecondFactor } from '../support/people/second-factor.js';
import { recordingTerminal } from '../support/recording-terminal.js';
import { aMasterKey } from '../support/secrets.js';

/** A secret that is nowhere else. */
const canary = (name: string): string => `canary-${name}-${randomBytes(9).toString('hex')}`;

/** Everything that was planted, by name, and everything that was said, by place. */
const planted = new Map<string, string>();
const plant = (name: string, secret = canary(name)): string => {
  planted.set(name, secret);
  return secret;
};
const said = new Map<string, string[]>();
const heard = (where: string, text: string): void => {
  said.set(where, [...(said.get(where) ?? []), text]);
};

/** How a secret could stand somewhere. */
const spellings = (secret: string): string[] => {
  const bytes = Buffer.from(secret);
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('hex'),
    // Without its ends, which depend on what stands around it.
    bytes.toString('base64').slice(0, -4),
    bytes.toString('base64url').slice(0, -4),
  ];
};
const found = (text: string, names = [...planted.keys()]): string[] =>
  names.filter((name) => spellings(planted.get(name) ?? '').some((one) => text.includes(one)));

describe('no secret', () => {
  const dir = makeTempDir();
  const data = at(dir.path, 'data');
  const clock = makeClock();
  let manager: Manager;
  let admin = '';
  let ann: Browser;

  const log = () => {
    const stream = new PassThrough();
    stream.on('data', (chunk: Buffer) => heard('log', chunk.toString()));
    // What the program itself uses, so that its redaction is what is tried.
    return makeLogger('trace', null, stream);
  };
  const file = (name: string, text: string): string => {
    writeFileSync(at(dir.path, name), text, { mode: 0o600 });
    return at(dir.path, name);
  };
  /** Sends something, and keeps what is answered when it is refused. */
  const send = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const response = await fetch(manager.config.publicUrl + path, { redirect: 'manual', ...init });
    if (response.status >= 400) heard('errors', await response.clone().text());
    heard(
      'headers',
      JSON.stringify([...response.headers].filter(([name]) => name !== 'set-cookie')),
    );
    return response;
  };
  const post = (path: string, body: unknown, token: string | null = null): Promise<Response> =>
    send(path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const read = async (path: string): Promise<string> => {
    const response = await send(path, { headers: { authorization: `Bearer ${admin}` } });
    expect(response.status).toBe(200);
    return response.text();
  };

  beforeAll(async () => {
    mkdirSync(data);
    plant('master-key', aMasterKey());
    const env = {
      BELLWETHER_DATA_DIR: data,
      BELLWETHER_PORT: '0',
      BELLWETHER_MASTER_KEY: planted.get('master-key') ?? '',
      REDIS_URL: `redis://bellwether:${plant('redis-password')}@127.0.0.1:1/0`,
      BELLWETHER_S3_BUCKET: 'artifacts',
      BELLWETHER_S3_ENDPOINT: 'http://127.0.0.1:1',
      BELLWETHER_S3_ACCESS_KEY_ID: 'AKIA0000',
      BELLWETHER_S3_SECRET_ACCESS_KEY: plant('s3-secret'),
      BELLWETHER_S3_SESSION_TOKEN: plant('s3-session'),
      BELLWETHER_OIDC_FILE: file(
        'oidc.toml',
        `issuer = "http://127.0.0.1:1"\nclient_id = "b"\nclient_secret_file = "${file(
          'oidc-secret',
          plant('oidc-client-secret'),
        )}"\n`,
      ),
    };
    const config = loadConfig(env);
    const logger = log();
    manager = await startManager({ config, log: logger, clock });
    logger.info({ config: redactedConfig(manager.config) }, 'manager started');
    plant('setup-token', manager.setupToken ?? '');
    await signInAsEverybody();
  }, 120_000);
  afterAll(async () => {
    await manager.stop();
    dir.remove();
  });

  /** Everything that takes a secret takes one, right and wrong. */
  async function signInAsEverybody(): Promise<void> {
    const url = manager.config.publicUrl;
    await post('/api/v1/setup', { setup_token: plant('wrong-setup-token'), name: 'x' });
    const setup = await callRoute(
      url,
      'setup.finish',
      { body: { setup_token: planted.get('setup-token'), name: 'first' } },
      null,
    );
    admin = plant('api-token', (setup.body as { secret: string }).secret);

    const invited = await callRoute(
      url,
      'invitations.create',
      { body: { note: 'ann', super_admin: true } },
      admin,
    );
    const secret = plant('invitation', (invited.body as { secret: string }).secret);
    ann = makeBrowser(url);
    // The browser of the specs signs in with this one.
    const password = plant('password', 'seven-blue-anvils-sing');
    await ann.call('invitations.accept', { body: { secret, login: 'ann', name: 'Ann', password } });
    plant('session-cookie', [...ann.cookies.values()][0] ?? '');
    const factor = await withSecondFactor({ clock }, ann);
    plant('totp-secret', factor.secret);
    factor.recoveryCodes.forEach((code, index) => plant(`recovery-${index}`, code));
    plant('totp-code', factor.nextCode());
    const body = { login: 'ann', password, code: planted.get('totp-code'), as: 'token' };
    const signedIn = await callRoute(url, 'session.sign_in', { body }, null);
    expect(signedIn.status).toBe(201);
    plant('session-token', (signedIn.body as { token: string }).token);

    await post('/api/v1/session', { login: plant('password-as-login'), password: plant('guess') });
    await post('/api/v1/session', { login: 'ann', password: plant('wrong-password') });
    await post('/api/v1/session', { login: 'ann', password, code: plant('wrong-code', '918273') });
    await ann.call('account.password', { body: { current: plant('old'), new: plant('weak') } });
    await post('/api/v1/invitations/accept', { secret: plant('wrong-invitation'), login: 'eve' });

    const made = await callRoute(url, 'enrollment.create', { body: {} }, admin);
    const token = plant('enrollment-token', (made.body as { secret: string }).secret);
    const { privateKey: key } = generateKeyPairSync('ed25519');
    const seed = key.export({ format: 'jwk' }).d ?? '';
    plant('node-private-key', seed);
    const enroll = enrollBody({ token, origin: url, key });
    await post('/api/v1/enroll', {
      ...enroll,
      private_key: seed,
      token: plant('wrong-enrollment'),
    });
    const enrolled = await callRoute(url, 'enrollment.enroll', { body: enroll }, null);
    expect(enrolled.status).toBeLessThan(300);
    const nodeId = (enrolled.body as { node_id: string }).node_id;
    const node = { nodeId, origin: url, key, nowMs: clock.now(), jti: newId('jti') };
    plant('node-token', makeNodeToken(node));
    await send(`/node/v1/channels/edge/stable`, {
      headers: { authorization: `Bearer ${planted.get('node-token') ?? ''}` },
    });

    await send('/api/v1/sso/start');
    const query = new URLSearchParams({ code: plant('authorization-code'), state: plant('state') });
    await send(`/api/v1/sso/callback?${query.toString()}`, {
      headers: { cookie: `bellwether-sso=${plant('sso-cookie')}` },
    });
    sealForSink();
    await sendToWrongPlaces();
  }

  /** What a sink would keep: sealed in a row of its own. */
  function sealForSink(): void {
    const secrets = manager.app.get(Secrets);
    secrets.keep('sink', { reseal: async () => 0 });
    const sealed = secrets.seal('sink', 'snk_1', plant('webhook-secret'));
    file('data/sink.txt', sealed);
    expect(secrets.open('sink', 'snk_1', sealed)).toBe(planted.get('webhook-secret'));
    try {
      secrets.open('sink', 'snk_2', sealed);
    } catch (error) {
      heard('errors', inspect(error, { depth: 9 }));
    }
  }

  /** Secrets where none belongs. */
  async function sendToWrongPlaces(): Promise<void> {
    await send(`/api/v1/nodes?token=${plant('query')}&cursor=${plant('cursor')}`, {
      headers: { authorization: `Bearer ${plant('bearer')}` },
    });
    await send('/api/v1/nodes', { headers: { authorization: `Basic ${plant('basic')}` } });
    await send('/api/v1/nodes', { headers: { 'x-api-key': plant('header') } });
    await send('/api/v1/nodes', { headers: { cookie: `bellwether=bwc_${plant('cookie')}` } });
    await send('/api/v1/groups?cursor=' + plant('good-caller-query'), {
      headers: { authorization: `Bearer ${admin}`, 'x-request-id': `${plant('request-id')} x` },
    });
    const wrongBodies: unknown[] = [
      `{"password": "${plant('broken-json')}`,
      plant('no-json'),
      { name: { nested: plant('wrong-type') }, role: plant('wrong-role') },
      { name: 'x', role: 'viewer', group_id: plant('wrong-id'), secret: plant('unknown-field') },
      [plant('in-a-list')],
    ];
    for (const body of wrongBodies) {
      await post('/api/v1/tokens', body, admin);
      await post('/api/v1/session', body);
    }
    // What looks like a secret of ours, or bears its name, is taken out of what is kept for ever.
    const pasted = plant('pasted-token', `bwt_${randomBytes(20).toString('hex')}`);
    await post('/api/v1/groups', { name: pasted, parent_id: 'grp_default' }, admin);
    await send('/api/v1/groups', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${admin}`,
        'user-agent': `curl ${plant('agent', `bwl_${randomBytes(20).toString('hex')}`)}`,
      },
      body: JSON.stringify({ name: 'named', parent_id: 'grp_default' }),
    });
    await send(`/api/v1/blobs/sha256/${'1'.repeat(64)}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${admin}`, 'content-length': '5' },
      body: 'bytes',
    });
  }

  it('is in the log, in an error, or in a header', () => {
    // Nobody should log these; when somebody does, they are taken out.
    const logged = plant('logged');
    const fields = { token: logged, secret: logged, password: logged, cookie: logged };
    const headers = { authorization: logged, cookie: logged };
    const entry = { ...fields, body: fields, request: { headers, body: fields } };
    manager.app.get<Logger>(LOGGER).warn(entry, 'a line that says too much');
    expect(said.get('log')?.at(-1)).toContain('[redacted]');
    for (const where of ['log', 'errors', 'headers']) {
      const text = (said.get(where) ?? []).join('\n');
      expect([where, text.length > 500]).toEqual([where, true]);
      expect([where, found(text)]).toEqual([where, []]);
    }
  });

  it('is in the audit log or its exports', async () => {
    const texts = await Promise.all([
      read('/api/v1/audit?limit=500'),
      ...['ndjson', 'json', 'csv'].map((format) => read(`/api/v1/audit/export?format=${format}`)),
    ]);
    for (const text of texts) {
      expect(text).toContain('session.sign_in');
      expect(found(text)).toEqual([]);
    }
    // They were there, and were taken out.
    expect(texts[1]).toContain('[redacted]');
  });

  it('is in an event, or in what an admin may read of people, tokens and nodes', async () => {
    const paths = ['events', 'users', 'tokens', 'nodes', 'invitations', 'documents', 'sources'];
    for (const path of paths) {
      expect([path, found(await read(`/api/v1/${path}?limit=100`))]).toEqual([path, []]);
    }
  });

  it('lies in a file of the data directory', async () => {
    // The name of a group is what somebody gave it; nobody can know that it was meant to be secret.
    const names = [...planted.keys()].filter((name) => name !== 'pasted-token');
    await manager.app.get(Database).transaction((tx) => tx.run('DELETE FROM setup_token'));
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['audit-key.sealed.json', 'bellwether.db', 'sink.txt']),
    );
    for (const { parentPath, name } of files) {
      const text = readFileSync(at(parentPath, name)).toString('latin1');
      expect([name, found(text, names)]).toEqual([name, []]);
      expect([name, text.includes('PRIVATE KEY')]).toEqual([name, false]);
    }
  });

  it('is printed by the command line, right or wrong', async () => {
    const { publicUrl: url } = manager.config;
    const env = { BELLWETHER_MANAGER: url, BELLWETHER_TOKEN: admin };
    const wrong = file('wrong-token', plant('cli-token', `bwt_${randomBytes(20).toString('hex')}`));
    const password = file('password', plant('cli-password'));
    const lines = [
      ['login', 'ann', '--password-file', password],
      ['tokens', 'list', '--token-file', wrong],
      ['tokens', 'list', '-o', 'json'],
      ['users', 'list'],
      ['nodes', 'list', '--manager', `http://user:${plant('cli-url')}@127.0.0.1:1`],
      ['audit', 'list'],
      ['events', 'list'],
      ['groups', 'list', '--no-such', plant('cli-argument').slice(0, 0)],
    ];
    for (const words of lines) {
      const terminal = recordingTerminal(env);
      await runProgram(words, terminal);
      const text = terminal.outText() + terminal.errText();
      expect([words[0], words[1], found(text)]).toEqual([words[0], words[1], []]);
    }
  });

  it('is told by a start that fails', async () => {
    const key = plant('other-master-key', aMasterKey());
    const tries: Record<string, string>[] = [
      { DATABASE_URL: `postgres://u:${plant('postgres-password')}@127.0.0.1:1/db` },
      { BELLWETHER_MASTER_KEY: `${plant('bad-master-key')}!` },
      { BELLWETHER_MASTER_KEY: key, BELLWETHER_MASTER_KEY_FILE: file('key', key) },
      { BELLWETHER_MASTER_KEYS_OLD_FILE: file('old', plant('bad-old-key')) },
      { REDIS_URL: `http://u:${plant('bad-redis')}@127.0.0.1:1` },
      { BELLWETHER_S3_SECRET_ACCESS_KEY: plant('s3-alone') },
    ];
    for (const env of tries) {
      const dataDir = at(dir.path, `fails-${randomBytes(4).toString('hex')}`);
      const start = async (): Promise<Manager> =>
        startManager({
          config: loadConfig({ BELLWETHER_DATA_DIR: dataDir, BELLWETHER_PORT: '0', ...env }),
          log: log(),
          clock,
        });
      const error: unknown = await start().catch((problem: unknown) => problem);
      expect(error).toMatchObject({ code: 'config_invalid' });
      const { message, context } = error as Error & { context: unknown };
      expect([Object.keys(env), found(message + JSON.stringify(context))]).toEqual([
        Object.keys(env),
        [],
      ]);
    }
  });
});
