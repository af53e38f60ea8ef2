import { request } from 'node:https';
import { join } from 'node:path';
import { readWebhookConfig } from '../../../src/operator/webhook/config.js';
import {
  runWebhook,
  type RunningWebhook,
  type WebhookOptions,
} from '../../../src/operator/webhook/run.js';
import type { KubeObject } from './objects.js';
import type { OperatorBench } from './operator-bench.js';

export const CONFIGURATION = 'bellwether-webhook';

/** As the chart writes it. */
export function configure(
  { cluster }: OperatorBench,
  more: Readonly<Record<string, unknown>> = {},
): void {
  cluster.server.objects.create('validatingwebhookconfigurations', {
    metadata: { name: CONFIGURATION },
    webhooks: [
      {
        name: 'pods.bellwether.dev',
        clientConfig: {
          service: { name: 'bellwether-webhook', namespace: 'bellwether', path: '/validate' },
        },
        rules: [
          {
            operations: ['CREATE', 'UPDATE'],
            apiGroups: [''],
            apiVersions: ['v1'],
            resources: ['pods', 'pods/ephemeralcontainers'],
          },
        ],
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Fail',
        timeoutSeconds: 10,
        ...more,
      },
    ],
  } as unknown as KubeObject);
}

/** A webhook beside an operator, behind its Service. */
export async function startWebhook(
  manager: { readonly url: string },
  bench: OperatorBench,
  env: Readonly<Record<string, string>> = {},
  times: WebhookOptions['times'] = {},
  /** File with the token of a user of the API server. */
  tokenFile?: string,
): Promise<RunningWebhook> {
  const given = await readWebhookConfig({
    BELLWETHER_MANAGER_URL: manager.url,
    BELLWETHER_CLUSTER_NAME: 'prod-1',
    BELLWETHER_NAMESPACE: 'bellwether',
    BELLWETHER_TOKEN_FILE: join(bench.dir, 'token'),
    BELLWETHER_POLICY_DIR: join(bench.dir, 'policy'),
    BELLWETHER_DATA_DIR: join(bench.dir, 'webhook'),
    BELLWETHER_KUBE_URL: bench.cluster.server.url,
    BELLWETHER_WEBHOOK_HOST: '127.0.0.1',
    BELLWETHER_WEBHOOK_PORT: '0',
    BELLWETHER_WEBHOOK_FRESH_SECONDS: '1',
    ...env,
  });
  const { operator } = given;
  const config = { ...given, operator: { ...operator, kube: { ...operator.kube, tokenFile } } };
  const running = await runWebhook({
    config,
    log: (message, fields) => {
      if (process.env['BELLWETHER_TEST_LOG'] === '1')
        console.error('webhook', message, fields ?? '');
    },
    times: { backoffMs: 50, flushMs: 100, ...times },
  });
  bench.cluster.server.admission.services.set('bellwether/bellwether-webhook', running.port);
  return running;
}

/** The Secret of the webhook, opened. */
export function keptOf({ cluster }: OperatorBench): {
  readonly authorities: readonly { readonly cert: string; readonly bundled_at_ms: number | null }[];
  readonly serving: { readonly cert: string };
} {
  const secret = cluster.server.objects.get('secrets', 'bellwether', 'bellwether-webhook-tls');
  const { state = '' } = secret['data'] as Record<string, string>;
  return JSON.parse(Buffer.from(state, 'base64').toString('utf8')) as ReturnType<typeof keptOf>;
}

/** As whoever reaches the port would ask it. */
export function askWebhook(
  port: number,
  given: {
    readonly ca: string;
    readonly path?: string;
    readonly method?: string;
    readonly body?: string | Buffer;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<{ readonly status: number; readonly text: string }> {
  const { ca, path = '/validate', method = 'POST', body, headers = {} } = given;
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...{ host: '127.0.0.1', port, path, method, ca, agent: false },
        servername: 'bellwether-webhook.bellwether.svc',
        headers: { 'content-type': 'application/json', ...headers },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text });
        });
        response.on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}
