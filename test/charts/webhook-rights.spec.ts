import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { RunningWebhook } from '../../src/operator/webhook/run.js';
import { eventually } from '../support/fleet.js';
import type { KubeObject } from '../support/kube/objects.js';
import {
  imageOf,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { startWebhook } from '../support/kube/webhook-bench.js';
import { startTestManager, type TestManager } from '../support/manager.js';
import { manifestsOf } from './cases.js';
import { rightsOf, rightsUsed, singly } from './rights.js';

const WAIT_MS = 60_000;
const TOKENS = { webhook: 'token-of-the-webhook', operator: 'token-of-the-operator' };
const OPT_IN = { 'bellwether.dev/product': 'edge' };
const KINDS = { deployments: 'Deployment', daemonsets: 'DaemonSet', statefulsets: 'StatefulSet' };

/** The webhook as the chart makes it: its account, its settings, the configuration by which it is called. */
function webhookOf(name: string) {
  const all = manifestsOf({ chart: 'bellwether-agent', name });
  const one = all.find(
    ({ kind, metadata }) =>
      kind === 'Deployment' && metadata.labels['app.kubernetes.io/component'] === 'webhook',
  );
  const { spec } = (
    one as unknown as {
      spec: {
        template: {
          spec: {
            serviceAccountName: string;
            containers: [{ env: { name: string; value?: string }[] }];
          };
        };
      };
    }
  ).spec.template;
  const configuration = all.find(({ kind }) => kind === 'ValidatingWebhookConfiguration')!;
  const settings = all.find(({ kind, metadata }) => {
    const isOperators = !/-(ca|policy)$/.test(metadata.name);
    return kind === 'ConfigMap' && isOperators;
  });
  const env = spec.containers[0].env.flatMap(({ name: key, value }) =>
    value === undefined || !key.startsWith('BELLWETHER_') ? [] : [[key, value] as const],
  );
  const { BELLWETHER_NAMESPACE: state = '', BELLWETHER_WATCH_NAMESPACE: watched = '' } =
    settings?.data ?? {};
  return {
    account: spec.serviceAccountName,
    env: Object.fromEntries([
      ...env,
      ['BELLWETHER_NAMESPACE', state],
      ['BELLWETHER_WATCH_NAMESPACE', watched],
    ]) as Readonly<Record<string, string>>,
    state,
    configuration,
  };
}

describe('a webhook with the rights of its chart', { timeout: 4 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench;
  let webhook: RunningWebhook | null = null;
  afterEach(async () => {
    await webhook?.stop();
    webhook = null;
    await bench.stop();
    await manager.stop();
  });

  const podsOf = (name: string): readonly KubeObject[] =>
    bench.cluster.server.objects
      .list('pods', 'shop')
      .filter(({ metadata }) => metadata.labels?.['app'] === name);

  it.each([
    ['production', 'everywhere'],
    ['everything', 'in one namespace'],
  ])('judges and tells (%s, %s): each right is needed, and no other', async (name) => {
    const { account, env, state, configuration } = webhookOf(name);
    manager = await startTestManager();
    bench = await operatorBench(manager);
    const { server } = bench.cluster;
    const rules = rightsOf(name, account);
    server.users.set(TOKENS.webhook, { name: 'webhook', rules });
    server.users.set(TOKENS.operator, { name: 'operator' });
    server.objects.create(
      'validatingwebhookconfigurations',
      structuredClone(configuration) as unknown as KubeObject,
    );
    const tokenFile = join(bench.dir, 'webhook.api-token');
    writeFileSync(tokenFile, TOKENS.webhook);
    await publishImage(manager, '1.0.0', 1);
    bench.cluster.workload({ name: 'first', image: imageOf('1.0.0'), annotations: OPT_IN });
    await bench.operator('operator-1', { BELLWETHER_NAMESPACE: state }, TOKENS.operator);
    await eventually(async () => {
      const { items } = (await manager.call('nodes.list')).body;
      expect(items).toMatchObject([{ status: 'online' }]);
    }, WAIT_MS);

    const own = { ...env, BELLWETHER_WEBHOOK_PORT: '0' };
    webhook = await startWebhook(manager, bench, own, { againMs: 500 }, tokenFile);
    server.admission.services.set(
      `bellwether/${env['BELLWETHER_WEBHOOK_SERVICE'] ?? ''}`,
      webhook.port,
    );
    await webhook.tend();
    for (const [plural, kind] of Object.entries(KINDS)) {
      const given = { name: `good-${plural}`, image: imageOf('1.0.0'), annotations: OPT_IN };
      bench.cluster.workload({ ...given, kind: kind as 'Deployment' });
    }
    // Refused, or warned of, for as long as it is tried.
    bench.cluster.workload({ name: 'tagged', image: START_IMAGE, annotations: OPT_IN });
    await eventually(() => {
      for (const plural of Object.keys(KINDS)) expect(podsOf(`good-${plural}`)).toHaveLength(2);
      expect(server.admission.annotations).toContainEqual(
        expect.objectContaining({ refused: 'upgrade_image_mutable' }),
      );
      return Promise.resolve();
    }, WAIT_MS);
    await publishImage(manager, '1.1.0', 2);
    let tries = 0;
    await eventually(async () => {
      // What is newly verified is written beside what is known; what is told again adds to what waits.
      tries += 1;
      await fetch(`${server.url}/api/v1/namespaces/shop/pods`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${TOKENS.operator}`,
        },
        body: JSON.stringify({
          metadata: { name: `by-hand-${tries}`, labels: { app: 'first' } },
          spec: { containers: [{ name: 'main', image: imageOf(`1.${tries % 2}.0`) }] },
        }),
      });
      expect(rightsUsed(server, 'webhook')).toEqual(singly(rules));
    }, WAIT_MS);
  });
});
