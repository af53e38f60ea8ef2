import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { markOf } from '../../src/operator/names.js';
import type { RunningWebhook } from '../../src/operator/webhook/run.js';
import { BODY_BYTES_MAX } from '../../src/operator/webhook/server.js';
import { CATALOG_KEY, signedIndex } from '../support/catalog.js';
import { makeTempDir } from '../support/databases.js';
import { eventually } from '../support/fleet.js';
import { startCluster } from '../support/kube/cluster.js';
import type { KubeObject } from '../support/kube/objects.js';
import { digestOf, imageOf, type OperatorBench } from '../support/kube/operator-bench.js';
import { ScriptedManager } from '../support/kube/scripted-manager.js';
import { askWebhook, configure, keptOf, startWebhook } from '../support/kube/webhook-bench.js';

const WAIT_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const OPT_IN = { 'bellwether.dev/product': 'edge' };
const WORKLOAD = { kind: 'Deployment', namespace: 'shop', name: 'edge' } as const;
const REFERENCE = 'registry.example.com/shop/edge';

describe('the admission webhook on bad days', { timeout: 3 * WAIT_MS }, () => {
  let manager: ScriptedManager;
  let bench: OperatorBench;
  let webhook: RunningWebhook | null;
  let nowMs: () => number;
  beforeEach(async () => {
    manager = new ScriptedManager();
    await manager.start();
    const dir = makeTempDir();
    const cluster = await startCluster();
    cluster.controllers.stop();
    nowMs = () => Date.now();
    webhook = null;
    mkdirSync(join(dir.path, 'policy'));
    const policy = (lines: readonly string[] = []): void => {
      const signer = ['[[signers]]', 'name = "pipeline"', `public_key = "${CATALOG_KEY}"`];
      const text = ['enabled = true', ...lines, ...signer].join('\n');
      writeFileSync(join(dir.path, 'policy', 'policy.toml'), text, { mode: 0o640 });
    };
    policy();
    const noOperator = () => Promise.reject(new Error('none here'));
    bench = {
      cluster,
      dir: dir.path,
      policy,
      config: noOperator,
      operator: noOperator,
      stop: async () => {
        await cluster.stop();
        dir.remove();
      },
    };
    cluster.workload({ name: 'edge', image: imageOf('1.0.0'), annotations: OPT_IN });
    const { privateKey } = generateKeyPairSync('ed25519');
    const data = {
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      node_id: 'nod_000000000001',
      token_hash: 'x',
    };
    cluster.server.objects.create('secrets', {
      metadata: { name: `bellwether-node-${markOf(WORKLOAD)}`, namespace: 'bellwether' },
      data: Object.fromEntries(
        Object.entries(data).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
      ),
    } as unknown as KubeObject);
    manager.offer('1.0.0', '1.0.0');
  });
  afterEach(async () => {
    await webhook?.stop();
    await bench.stop();
    await manager.stop();
  });

  const start = async (env: Readonly<Record<string, string>> = {}): Promise<RunningWebhook> => {
    const times = { now: () => nowMs() };
    webhook = await startWebhook(manager, bench, env, times);
    return webhook;
  };
  const again = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
    await webhook?.stop();
    await start(env);
  };
  const ask = async (version: string, query = '') => {
    const path = `${bench.cluster.server.url}/api/v1/namespaces/shop/pods${query}`;
    const metadata = { generateName: 'edge-', labels: { app: 'edge' } };
    const spec = { containers: [{ name: 'main', image: imageOf(version) }] };
    const answer = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ metadata, spec }),
    });
    return { status: answer.status, text: await answer.text() };
  };
  const ca = (): string =>
    keptOf(bench)
      .authorities.map(({ cert }) => cert)
      .join('');

  it('answers garbage with a status and no verdict', async () => {
    const { port } = await start();
    const send = (given: Omit<Parameters<typeof askWebhook>[1], 'ca'>) =>
      askWebhook(port, { ca: ca(), ...given });
    await eventually(async () => {
      expect(await send({ method: 'GET', path: '/readyz' })).toMatchObject({ status: 200 });
    }, WAIT_MS);
    expect(await send({ method: 'GET', path: '/healthz' })).toMatchObject({ status: 200 });
    expect(await send({ method: 'GET' })).toMatchObject({ status: 404 });
    const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'a', image: 'b' }] } };
    const request = {
      uid: 'u-1',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'shop',
      operation: 'CREATE',
      object: pod,
    };
    const review = (change: object = {}, apiVersion = 'admission.k8s.io/v1'): string =>
      JSON.stringify({ apiVersion, kind: 'AdmissionReview', request: { ...request, ...change } });
    const good = await send({ body: review() });
    expect(good.status).toBe(200);
    expect(JSON.parse(good.text)).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u-1', allowed: true },
    });
    for (const body of [
      '',
      'garbage',
      '[]',
      'null',
      '['.repeat(100_000),
      '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}',
      review({}, 'admission.k8s.io/v1beta1'),
      review({ uid: '' }),
      review({ operation: 'PATCH' }),
      review({ namespace: '../x' }),
      review({ kind: { group: 'apps', version: 'v1', kind: 'Deployment' } }),
      review({ kind: { group: '', version: 'v2', kind: 'Pod' } }),
      review({ object: null }),
      review({ object: { metadata: {}, spec: { containers: 'many' } } }),
      review({ operation: 'UPDATE', oldObject: null }),
    ]) {
      const answer = await send({ body });
      expect([body.slice(0, 80), answer.status]).toEqual([body.slice(0, 80), 400]);
      expect(JSON.parse(answer.text)).toMatchObject({ code: 'admission_review_invalid' });
    }
    const plain = await send({ body: review(), headers: { 'content-type': 'text/plain' } });
    expect(plain.status).toBe(400);
    const large = Buffer.alloc(BODY_BYTES_MAX + 1, 0x20);
    const headers = { 'content-length': String(large.length) };
    const tooLarge = await send({ body: large, headers }).catch(() => ({ status: 413 }));
    expect(tooLarge.status).toBe(413);
    const chunked = { 'transfer-encoding': 'chunked' };
    const endless = await send({ body: large, headers: chunked }).catch(() => ({ status: 413 }));
    expect(endless.status).toBe(413);
    const late = await send({ path: '/validate?timeout=0s', body: review() });
    expect(late).toMatchObject({ status: 503 });
    expect(late.text).toContain('admission_undecided');
    // A body that never ends costs the caller the time, and nobody else.
    const never = { 'content-length': '1000', expect: '100-continue' };
    const slow = await send({ path: '/validate?timeout=1s', body: 'x', headers: never });
    expect(slow).toMatchObject({ status: 503 });
    // It still does what it is there for.
    expect((await send({ body: review() })).status).toBe(200);
  });

  it('decides nothing that it does not know: then failurePolicy does', async () => {
    const running = await start();
    configure(bench);
    await running.tend();
    await manager.stop();
    const refused = await ask('1.0.0');
    expect(refused.status).toBe(500);
    expect(refused.text).toContain('failed calling webhook');
    const { objects, admission } = bench.cluster.server;
    objects.remove('validatingwebhookconfigurations', '', 'bellwether-webhook');
    configure(bench, { failurePolicy: 'Ignore', timeoutSeconds: 2 });
    await running.tend();
    expect((await ask('1.0.0')).status).toBe(201);
    expect(admission.ignored).toHaveLength(1);
    expect(admission.ignored[0]).toContain('admission_undecided');
    // What is wrong in itself is refused, whoever is away.
    const tagged = await fetch(`${bench.cluster.server.url}/api/v1/namespaces/shop/pods`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        metadata: { generateName: 'edge-', labels: { app: 'edge' } },
        spec: { containers: [{ name: 'main', image: `${REFERENCE}:1.0.0` }] },
      }),
    });
    expect(tagged.status).toBe(403);
  });

  it('goes on with what it knows while the manager is away, even started anew, for a time', async () => {
    const env = { BELLWETHER_WEBHOOK_STALE_SECONDS: '3600' };
    const running = await start(env);
    configure(bench);
    await running.tend();
    expect((await ask('1.0.0')).status).toBe(201);
    await manager.stop();
    await again(env);
    expect((await ask('1.0.0')).status).toBe(201);
    expect((await ask('1.1.0')).status).toBe(500);
    nowMs = () => Date.now() + HOUR_MS + 10_000;
    await again(env);
    expect((await ask('1.0.0')).status).toBe(500);
    await manager.start();
    await eventually(async () => expect((await ask('1.0.0')).status).toBe(201), WAIT_MS);
  });

  it('takes from a manager that lies nothing but what is signed', async () => {
    const running = await start();
    configure(bench);
    await running.tend();
    // A good release, for an image that it does not name.
    manager.hint('6.6.6', [{ version: '1.0.0', channel: 'stable' }]);
    const other = await ask('6.6.6');
    expect(other.status).toBe(403);
    expect(other.text).toContain('1.0.0 on stable does not name sha256:');
    // A release under another name, and one on a channel that the policy does not take.
    manager.offer('1.2.0', '1.2.0');
    const path = '/node/v1/releases/edge/1.2.0/stable';
    for (const file of ['manifest.json', 'signatures.json']) {
      const from = manager.answers.get(`/node/v1/releases/edge/1.0.0/stable/${file}`) ?? '';
      manager.answers.set(`${path}/${file}`, from);
    }
    expect((await ask('1.2.0')).text).toContain('[upgrade_manifest_invalid]');
    manager.offer('1.3.0', '1.3.0', { channel: 'dev' });
    expect((await ask('1.3.0')).text).toContain('[upgrade_channel_not_allowed]');
    manager.offer('1.5.0', '1.5.0', { expires_at: '2026-11-20T09:00:00Z' });
    expect((await ask('1.5.0')).text).toContain('[upgrade_release_expired]');
    // No answer of a manager.
    manager.answers.set(
      `/node/v1/images/edge/${digestOf('1.7.0').slice('sha256:'.length)}`,
      JSON.stringify({ releases: Array.from({ length: 17 }, () => ({ version: '1.0.0' })) }),
    );
    expect((await ask('1.7.0')).status).toBe(500);
  });

  it('lets no manager take a kill list back, not even over a restart', async () => {
    const revoked = [
      { version: '1.0.0', sha256: digestOf('1.0.0').slice('sha256:'.length), reason: 'bad' },
    ];
    manager.index(signedIndex(7, { revoked }));
    const running = await start();
    configure(bench);
    await running.tend();
    expect((await ask('1.0.0')).text).toContain('[upgrade_revoked]');
    for (const shown of [signedIndex(6), null]) {
      manager.index(shown);
      await again();
      await eventually(async () => {
        const { status, text } = await ask('1.0.0');
        expect([status, text]).toEqual([403, expect.stringContaining('[upgrade_revoked]')]);
      }, WAIT_MS);
    }
    // One that an older index hides is not believed either: it is not known to be good.
    manager.index(signedIndex(6));
    manager.offer('1.8.0', '1.8.0');
    nowMs = () => Date.now() + 5_000;
    await again();
    expect((await ask('1.8.0')).status).toBe(500);
    manager.index(signedIndex(8));
    await eventually(async () => expect((await ask('1.0.0')).status).toBe(201), WAIT_MS);
    await eventually(async () => expect((await ask('1.8.0')).status).toBe(201), WAIT_MS);
  });

  it('warns only, where it is told to; spares namespaces; makes nothing of a rehearsal', async () => {
    const running = await start({ BELLWETHER_WEBHOOK_MODE: 'warn' });
    configure(bench);
    await running.tend();
    manager.hint('6.6.6', []);
    expect((await ask('6.6.6')).status).toBe(201);
    expect(bench.cluster.server.admission.warnings.join()).toContain(
      '[admission_image_unpublished]',
    );
    await again({ BELLWETHER_WEBHOOK_EXCLUDED_NAMESPACES: 'shop' });
    expect((await ask('6.6.6')).status).toBe(201);
    await again({ BELLWETHER_WEBHOOK_NAMESPACES: 'other' });
    expect((await ask('6.6.6')).status).toBe(201);
    const { objects } = bench.cluster.server;
    objects.remove('configmaps', 'bellwether', 'bellwether-refusals');
    await again();
    expect((await ask('6.6.6', '?dryRun=All')).status).toBe(403);
    await webhook?.stop();
    expect(objects.find('configmaps', 'bellwether', 'bellwether-refusals')).toBeNull();
  });

  it('gets by with the rights that its README names', async () => {
    const tokenFile = join(bench.dir, 'kube-token');
    writeFileSync(tokenFile, 'webhook-token');
    const own = { namespaces: ['bellwether'] };
    const rules = [
      { verbs: ['get', 'create', 'update'], resources: ['secrets', 'configmaps'], ...own },
      {
        verbs: ['get', 'list', 'watch'],
        resources: ['deployments.apps', 'daemonsets.apps', 'statefulsets.apps'],
      },
      { verbs: ['get'], resources: ['replicasets.apps'] },
      {
        verbs: ['get', 'patch'],
        resources: ['validatingwebhookconfigurations.admissionregistration.k8s.io'],
      },
    ];
    const { users, seen } = bench.cluster.server;
    users.set('webhook-token', { name: 'webhook', rules });
    users.set('admin-token', { name: 'admin' });
    configure(bench);
    webhook = await startWebhook(manager, bench, {}, { now: () => nowMs() }, tokenFile);
    const pods = `${bench.cluster.server.url}/api/v1/namespaces/shop/pods`;
    const make = async (version: string): Promise<number> => {
      const answer = await fetch(pods, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer admin-token' },
        body: JSON.stringify({
          metadata: { generateName: 'edge-', labels: { app: 'edge' } },
          spec: { containers: [{ name: 'main', image: imageOf(version) }] },
        }),
      });
      return answer.status;
    };
    manager.hint('6.6.6', []);
    await eventually(async () => expect(await make('1.0.0')).toBe(201), WAIT_MS);
    expect(await make('6.6.6')).toBe(403);
    await webhook.stop();
    const { objects } = bench.cluster.server;
    expect(objects.find('configmaps', 'bellwether', 'bellwether-refusals')).not.toBeNull();
    // Nothing was tried that it has no right to.
    const isAllowed = ({ verb, plural }: (typeof seen)[number]): boolean =>
      rules.some(
        ({ verbs, resources }) =>
          verbs.includes(verb) && resources.some((one) => one.split('.')[0] === plural),
      );
    const beyond = seen.filter((one) => one.user === 'webhook' && !isAllowed(one));
    expect(beyond.map(({ verb, path }) => `${verb} ${path}`)).toEqual([]);
  });

  it('without a policy knows nothing', async () => {
    writeFileSync(join(bench.dir, 'policy', 'policy.toml'), 'signers = "everybody"');
    const running = await start();
    configure(bench);
    await running.tend();
    const { status, text } = await ask('1.0.0');
    expect([status, text]).toEqual([500, expect.stringContaining('admission_undecided')]);
    const ready = await askWebhook(running.port, { ca: ca(), method: 'GET', path: '/readyz' });
    expect(ready.status).toBe(503);
  });

  it('changes certificate and authority without a moment in which nobody is believed', async () => {
    const startedMs = Date.now();
    // So that everything that is used is valid by the clock of this machine.
    nowMs = () => startedMs - 489 * DAY_MS;
    configure(bench);
    await start();
    const [old] = keptOf(bench).authorities;
    const oldCert = keptOf(bench).serving.cert;
    await webhook?.stop();
    nowMs = () => startedMs;
    const running = await start();
    const both = keptOf(bench).authorities;
    expect(both.map(({ cert }) => cert)).toEqual([old?.cert, expect.any(String)]);
    expect(keptOf(bench).serving.cert).not.toBe(oldCert);
    // The new certificate is still by the old authority: who has not heard of the new one believes it.
    const healthy = (trusted: string) =>
      askWebhook(running.port, { ca: trusted, method: 'GET', path: '/healthz' });
    expect((await healthy(old?.cert ?? '')).status).toBe(200);
    await expect(healthy(both[1]?.cert ?? '')).rejects.toThrow(/certificate|issuer/);
    expect((await ask('1.0.0')).status).toBe(201);
    // A connection that is open lives on.
    const open = connect({
      ...{ host: '127.0.0.1', port: running.port, ca: ca() },
      servername: 'bellwether-webhook.bellwether.svc',
    });
    await once(open, 'secureConnect');
    nowMs = () => startedMs + HOUR_MS + 60_000;
    await running.tend();
    expect((await healthy(both[1]?.cert ?? '')).status).toBe(200);
    await expect(healthy(old?.cert ?? '')).rejects.toThrow(/certificate|issuer/);
    open.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    const [head] = (await once(open, 'data')) as [Buffer];
    expect(head.toString()).toContain('200 OK');
    open.destroy();
    expect((await ask('1.0.0')).status).toBe(201);
    expect(keptOf(bench).authorities).toHaveLength(2);
    // Helm put the configuration back as it was: it is mended.
    bench.cluster.server.objects.remove(
      'validatingwebhookconfigurations',
      '',
      'bellwether-webhook',
    );
    configure(bench);
    expect((await ask('1.0.0')).status).toBe(500);
    await running.tend();
    expect((await ask('1.0.0')).status).toBe(201);
    // A second replica makes nothing of its own.
    const before = keptOf(bench).serving.cert;
    const second = await startWebhook(manager, bench, {}, { now: nowMs });
    expect(keptOf(bench).serving.cert).toBe(before);
    await second.stop();
  });
});
