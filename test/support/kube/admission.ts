import { randomUUID } from 'node:crypto';
import { request } from 'node:https';
import { rootCertificates } from 'node:tls';
import { StatusError, type KubeObject, type Objects } from './objects.js';

interface Expression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn';
  readonly values: readonly string[];
}
interface Webhook {
  readonly name: string;
  readonly clientConfig: {
    readonly service?: {
      readonly name: string;
      readonly namespace: string;
      readonly path?: string;
    };
    readonly caBundle?: string;
  };
  readonly rules: readonly {
    readonly operations: readonly string[];
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
  }[];
  readonly failurePolicy?: 'Fail' | 'Ignore';
  readonly timeoutSeconds?: number;
  readonly namespaceSelector?: { readonly matchExpressions?: readonly Expression[] };
  readonly admissionReviewVersions: readonly string[];
}
export interface Admitted {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly subresource: string;
  readonly object: KubeObject | null;
  readonly oldObject: KubeObject | null;
  readonly dryRun: boolean;
}
interface Answer {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly response?: {
    readonly uid?: string;
    readonly allowed?: boolean;
    readonly status?: {
      readonly code?: number;
      readonly message?: string;
      readonly reason?: string;
    };
    readonly warnings?: readonly string[];
    readonly auditAnnotations?: Readonly<Record<string, string>>;
  };
}

/**
 * How an API server asks validating webhooks, as its documents say: by the rules, over TLS under `caBundle` and
 * the name of the Service, with `timeout` in the address; an answer that is none is a failure, and
 * `failurePolicy` says what becomes of it.
 */
export class Admission {
  /** Where the Services lead, by `namespace/name`: a port of this machine. */
  readonly services = new Map<string, number>();
  /** Calls that failed and were let pass. */
  readonly ignored: string[] = [];
  readonly warnings: string[] = [];
  readonly annotations: Readonly<Record<string, string>>[] = [];
  calls = 0;
  readonly #objects: Objects;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  get isOn(): boolean {
    return this.#objects.list('validatingwebhookconfigurations', null).length > 0;
  }

  /** Throws StatusError when it is refused. */
  async review(asked: Admitted): Promise<void> {
    const { object, oldObject, operation, subresource } = asked;
    const namespace = (object ?? oldObject)?.metadata.namespace ?? '';
    const resource = subresource === '' ? 'pods' : `pods/${subresource}`;
    for (const configuration of this.#objects.list('validatingwebhookconfigurations', null)) {
      for (const webhook of (configuration['webhooks'] ?? []) as readonly Webhook[]) {
        const isMeant = webhook.rules.some(
          (rule) => rule.operations.includes(operation) && rule.resources.includes(resource),
        );
        if (isMeant && isSelected(webhook, namespace)) await this.#ask(webhook, asked, namespace);
      }
    }
  }

  async #ask(webhook: Webhook, asked: Admitted, namespace: string): Promise<void> {
    this.calls += 1;
    const uid = randomUUID();
    const { object, oldObject, operation, dryRun, subresource } = asked;
    let answer: Answer;
    try {
      const body = {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        request: {
          uid,
          kind: { group: '', version: 'v1', kind: 'Pod' },
          resource: { group: '', version: 'v1', resource: 'pods' },
          ...(subresource === '' ? {} : { subResource: subresource }),
          name: object?.metadata.name ?? '',
          namespace,
          operation,
          userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
          object,
          oldObject,
          dryRun,
          options: null,
        },
      };
      answer = await this.#post(webhook, body);
      const isOne = answer.apiVersion === body.apiVersion && answer.kind === 'AdmissionReview';
      if (!isOne || answer.response?.uid !== uid) throw new Error('expected response.uid');
    } catch (error) {
      const why = `failed calling webhook "${webhook.name}": ${(error as Error).message}`;
      if (webhook.failurePolicy === 'Ignore') return void this.ignored.push(why);
      throw new StatusError(500, 'InternalError', `Internal error occurred: ${why}`);
    }
    const { allowed, status, warnings = [], auditAnnotations } = answer.response;
    this.warnings.push(...warnings);
    if (auditAnnotations !== undefined) this.annotations.push(auditAnnotations);
    if (allowed === true) return;
    const message = `admission webhook "${webhook.name}" denied the request: ${status?.message ?? ''}`;
    throw new StatusError(status?.code ?? 403, status?.reason ?? 'Forbidden', message);
  }

  #post(webhook: Webhook, body: unknown): Promise<Answer> {
    const { clientConfig, timeoutSeconds = 10 } = webhook;
    const { service } = clientConfig;
    if (service === undefined) throw new Error('no service');
    const port = this.services.get(`${service.namespace}/${service.name}`);
    if (port === undefined) throw new Error(`service "${service.name}" not found`);
    const text = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const path = `${service.path ?? '/'}?timeout=${timeoutSeconds}s`;
      const asked = request(
        {
          ...{ host: '127.0.0.1', port, path, method: 'POST', agent: false },
          servername: `${service.name}.${service.namespace}.svc`,
          // Without a bundle it trusts whom the machine trusts.
          ca:
            clientConfig.caBundle === undefined
              ? [...rootCertificates]
              : Buffer.from(clientConfig.caBundle, 'base64').toString('utf8'),
          headers: {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          },
          signal: AbortSignal.timeout(timeoutSeconds * 1_000),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const got = Buffer.concat(chunks).toString('utf8');
            if (response.statusCode !== 200) reject(new Error(`${response.statusCode}: ${got}`));
            else resolve(JSON.parse(got) as Answer);
          });
        },
      );
      asked.on('error', reject);
      asked.end(text);
    });
  }
}

/** Every namespace has its name as a label. */
function isSelected({ namespaceSelector }: Webhook, namespace: string): boolean {
  return (namespaceSelector?.matchExpressions ?? []).every(({ key, operator, values }) => {
    if (key !== 'kubernetes.io/metadata.name') throw new Error(`${key} is not known here`);
    return values.includes(namespace) === (operator === 'In');
  });
}
