import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manifestBytes } from '../../src/core/release/index.js';
import type { RunningWebhook } from '../../src/operator/webhook/run.js';
import { aManifest, signedIndex } from '../support/catalog.js';
import { eventually } from '../support/fleet.js';
import type { KubeObject } from '../support/kube/objects.js';
import {
  digestOf,
  imageOf,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { configure, startWebhook } from '../support/kube/webhook-bench.js';
import { makeSigningKey, signaturesBy } from '../support/release-source.js';
import { allEndAs, rollOut } from '../support/kube/rollouts.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 60_000;
const EMPTY = Buffer.from('x');
const OPT_IN = { 'bellwether.dev/product': 'edge' };

/** A manager, an operator and a webhook in one cluster, whose API server asks before it takes a pod. */
describe('the admission webhook of a cluster', { timeout: 3 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench;
  let webhook: RunningWebhook;
  beforeAll(async () => {
    manager = await startTestManager();
    bench = await operatorBench(manager);
    webhook = await startWebhook(manager, bench);
    configure(bench);
    await webhook.tend();
    // One that is enrolled lends its identity to those that are not yet.
    bench.cluster.workload({ name: 'first', image: imageOf('1.0.0'), annotations: OPT_IN });
    await publishImage(manager, '1.0.0', 1);
    await bench.operator('operator-1');
  }, WAIT_MS);
  afterAll(async () => {
    await webhook.stop();
    await bench.stop();
    await manager.stop();
  });

  const podsOf = (name: string): KubeObject[] =>
    bench.cluster.server.objects
      .list('pods', 'shop')
      .filter(({ metadata }) => metadata.labels?.['app'] === name);
  const runs = (name: string, count: number) =>
    eventually(() => {
      expect(podsOf(name)).toHaveLength(count);
      return Promise.resolve();
    }, WAIT_MS);
  const refusedFor = (why: string | RegExp) =>
    eventually(() => {
      expect(bench.cluster.controllers.failures.join('\n')).toMatch(why);
      return Promise.resolve();
    }, WAIT_MS);
  /** The answer of the API server to a pod that somebody makes by hand, or changes. */
  const ask = async (path: string, body: object, method = 'POST', type = 'application/json') => {
    const answer = await fetch(`${bench.cluster.server.url}/api/v1/namespaces/shop/pods${path}`, {
      method,
      headers: { 'content-type': type },
      body: JSON.stringify(body),
    });
    return { status: answer.status, text: await answer.text() };
  };
  const bare = (image: string, labels: object = {}, more: object = {}) => ({
    metadata: { generateName: 'by-hand-', labels },
    spec: { containers: [{ name: 'main', image }], ...more },
  });

  it('lets in what is published and signed, of each kind of workload', async () => {
    await runs('first', 2);
    for (const kind of ['DaemonSet', 'StatefulSet'] as const) {
      const name = `good-${kind.toLowerCase()}`;
      bench.cluster.workload({ kind, name, image: imageOf('1.0.0'), annotations: OPT_IN });
      await runs(name, 2);
    }
    expect(bench.cluster.server.admission.annotations).toContainEqual(
      expect.objectContaining({ product: 'edge', versions: '1.0.0' }),
    );
  });

  it('keeps out a tag, and tells the manager once however often it is tried', async () => {
    bench.cluster.workload({ name: 'tagged', image: START_IMAGE, annotations: OPT_IN });
    await refusedFor(/shop\/edge:1\.0\.0 is named by its tag.*@sha256:.*\[upgrade_image_mutable\]/);
    expect(podsOf('tagged')).toHaveLength(0);
    const told = async () => {
      const { body } = await manager.call('events.list', {
        query: { type: ['admission_refused'], limit: 50 } as never,
      });
      return body.items.filter(({ details }) => details['workload'] === 'shop/deployment/tagged');
    };
    const [event] = await eventually(async () => {
      const found = await told();
      expect(found).toHaveLength(1);
      return found;
    }, WAIT_MS);
    expect(event).toMatchObject({
      category: 'security',
      severity: 'critical',
      details: {
        error_code: 'upgrade_image_mutable',
        container: 'main',
        image: START_IMAGE,
        mode: 'refuse',
      },
    });
    const { body } = await manager.call('nodes.show', { params: { id: event?.node_id ?? '' } });
    expect(body).toMatchObject({ name: 'prod-1/shop/deployment/tagged' });
    await eventually(() => {
      expect(bench.cluster.controllers.failures.length).toBeGreaterThan(5);
      return Promise.resolve();
    }, WAIT_MS);
    expect(await told()).toHaveLength(1);
    const { body: log } = await manager.call('audit.list', {
      query: { action: 'admission.refused', target_id: event?.node_id ?? '' },
    });
    expect(log.items).toMatchObject([
      {
        actor_kind: 'node',
        actor_id: event?.node_id,
        actor_name: 'prod-1/shop/deployment/tagged',
        outcome: 'refused',
        details: { cluster: 'prod-1', error_code: 'upgrade_image_mutable', mode: 'refuse' },
      },
    ]);
  });

  it('keeps out what nobody published, until somebody does', async () => {
    bench.cluster.workload({ name: 'early', image: imageOf('1.4.0'), annotations: OPT_IN });
    await refusedFor(`${digestOf('1.4.0')} stands in no published release of edge`);
    await publishImage(manager, '1.4.0', 4);
    await runs('early', 2);
  });

  it('keeps out what a stranger signed, whatever the manager says', async () => {
    const image = { reference: 'registry.example.com/shop/edge', digest: digestOf('1.6.0') };
    const manifest = aManifest({ version: '1.6.0', sequence: 6, image, artifacts: [] }, EMPTY);
    const text = Buffer.from(manifestBytes(manifest)).toString('utf8');
    const body = {
      manifest: text,
      signatures: signaturesBy([makeSigningKey()], Buffer.from(text)),
    };
    expect(await manager.call('releases.publish', { body })).toMatchObject({ status: 201 });
    bench.cluster.workload({ name: 'foreign', image: imageOf('1.6.0'), annotations: OPT_IN });
    await refusedFor(
      /shop\/deployment\/foreign: .*\[upgrade_(identity_not_allowed|signature_invalid)\]/,
    );
    expect(podsOf('foreign')).toHaveLength(0);
  });

  it('follows the mounted policy as it is now', async () => {
    bench.policy(['min_version = "1.0.0"']);
    await publishImage(manager, '0.9.0', 1);
    bench.cluster.workload({ name: 'below', image: imageOf('0.9.0'), annotations: OPT_IN });
    await refusedFor(/0\.9\.0 is below min_version 1\.0\.0 \[upgrade_version_too_old\]/);
    bench.policy();
    await runs('below', 2);
  });

  it('an upgrade goes through it, to the new digest', async () => {
    await publishImage(manager, '1.1.0', 2);
    bench.cluster.images.set(imageOf('1.1.0'), 'good');
    const { items } = (await manager.call('nodes.list', { query: { limit: 200 } })).body;
    const node = items.find(({ name }) => name === 'prod-1/shop/deployment/first');
    const id = await rollOut(manager, '1.1.0', { scope: { node_ids: [node?.id] } });
    await allEndAs(manager, id, [{ state: 'succeeded' }]);
    expect(bench.cluster.imageOf('deployments', 'shop', 'first')).toBe(imageOf('1.1.0'));
  });

  it('judges each container of each list, and those that come later', async () => {
    const labels = { app: 'first' };
    const good = imageOf('1.1.0');
    const sidecar = { name: 'proxy', image: 'registry.example.com/mesh/proxy:2.0.0' };
    const init = await ask('', bare(good, labels, { initContainers: [sidecar] }));
    expect(init).toMatchObject({ status: 403 });
    expect(init.text).toContain('container proxy of shop/deployment/first');
    const made = await ask('', bare(good, labels));
    expect(made.status).toBe(201);
    const { name } = (JSON.parse(made.text) as KubeObject).metadata;
    const debug = {
      spec: { ephemeralContainers: [{ name: 'debugger-x', image: 'registry.example.com/sh:1' }] },
    };
    const patch = 'application/strategic-merge-patch+json';
    const later = await ask(`/${name}/ephemeralcontainers`, debug, 'PATCH', patch);
    expect(later).toMatchObject({ status: 403 });
    const moved = { spec: { containers: [{ name: 'main', image: START_IMAGE }] } };
    expect(await ask(`/${name}`, moved, 'PATCH', patch)).toMatchObject({ status: 403 });
    const label = { metadata: { labels: { seen: 'yes' } } };
    expect(await ask(`/${name}`, label, 'PATCH', patch)).toMatchObject({ status: 200 });
    // The workload says whose they are.
    const deployment = structuredClone(
      bench.cluster.server.objects.get('deployments', 'shop', 'first'),
    );
    deployment.metadata.annotations = {
      ...deployment.metadata.annotations,
      'bellwether.dev/other-containers': 'proxy,debugger-*',
    };
    bench.cluster.server.objects.replace('deployments', deployment, { status: false });
    await eventually(async () => {
      const again = await ask('', bare(good, labels, { initContainers: [sidecar] }));
      expect(again.status).toBe(201);
    }, WAIT_MS);
    const debugged = await ask(`/${name}/ephemeralcontainers`, debug, 'PATCH', patch);
    expect(debugged.status).toBe(200);
  });

  it('leaves alone what takes no part, and is not led astray by an owner that is none', async () => {
    expect((await ask('', bare('registry.example.com/other:1'))).status).toBe(201);
    const labels = { app: 'first' };
    const owner = {
      ...{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'nowhere', uid: 'x', controller: true },
    };
    for (const more of [
      owner,
      { ...owner, name: '../../../../api/v1/secrets' },
      { ...owner, kind: 'DaemonSet' },
      { ...owner, apiVersion: 'batch/v1', kind: 'Job' },
    ]) {
      const pod = bare(START_IMAGE, labels);
      const claimed = { ...pod, metadata: { ...pod.metadata, ownerReferences: [more] } };
      expect(await ask('', claimed)).toMatchObject({ status: 403 });
    }
    bench.cluster.workload({ name: 'free', image: START_IMAGE });
    await runs('free', 2);
  });

  it('keeps out what is revoked, and what was yanked', async () => {
    const revoked = [
      {
        version: '1.4.0',
        sha256: digestOf('1.4.0').slice('sha256:'.length),
        reason: 'it eats disks',
      },
    ];
    const body = signedIndex(7, { revoked });
    expect((await manager.call('documents.announce', { body })).status).toBe(201);
    const labels = { app: 'early' };
    await eventually(async () => {
      const { status, text } = await ask('', bare(imageOf('1.4.0'), labels));
      expect(status).toBe(403);
      expect(text).toContain('1.4.0 was revoked: it eats disks [upgrade_revoked]');
    }, WAIT_MS);
    const list = await manager.call('releases.list', { query: { version: '1.0.0' } });
    const id = list.body.items[0]?.id ?? '';
    const yanked = await manager.call('releases.yank', { params: { id }, body: { reason: 'old' } });
    expect(yanked.status).toBe(200);
    await eventually(async () => {
      const { status, text } = await ask('', bare(imageOf('1.0.0'), labels));
      expect(status).toBe(403);
      expect(text).toContain('admission_image_unpublished');
    }, WAIT_MS);
  });
});
