import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import type { AskedPod } from '../../core/workload/index.js';

const API_VERSION = 'admission.k8s.io/v1';
const KIND = 'AdmissionReview';
/** A warning is shown on a terminal; the API server cuts longer ones. */
const WARNING_MAX = 250;
const MESSAGE_MAX = 2_000;

const Texts = z
  .record(z.string(), z.string())
  .nullish()
  .transform((given) => given ?? {});
const Containers = z
  .array(z.object({ name: z.string().max(253), image: z.string().nullish() }))
  .nullish()
  .transform((given) => (given ?? []).map(({ name, image }) => ({ name, image: image ?? '' })));
const Name = z
  .string()
  .nullish()
  .transform((given) => given ?? '');
const Owner = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().nullish(),
});
const Pod = z.object({
  metadata: z.object({
    name: Name,
    generateName: Name,
    labels: Texts,
    ownerReferences: z.array(Owner).nullish(),
    deletionTimestamp: z.string().nullish(),
  }),
  spec: z.object({
    containers: Containers,
    initContainers: Containers,
    ephemeralContainers: Containers,
  }),
});

const Review = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal(KIND),
  request: z.object({
    uid: z.string().min(1).max(128),
    kind: z.object({ group: z.string(), version: z.string(), kind: z.string() }),
    subResource: z.string().nullish(),
    namespace: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
      .nullish(),
    operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
    dryRun: z.boolean().nullish(),
    object: z.unknown().optional(),
    oldObject: z.unknown().optional(),
  }),
});

/** What is asked: one pod, and what it was before an update. Null: there is nothing to judge in it. */
export interface Asked {
  readonly uid: string;
  readonly namespace: string;
  readonly isDryRun: boolean;
  readonly pod: AskedPod | null;
  readonly before: AskedPod | null;
}

const invalid = (message: string): FleetError =>
  new FleetError('admission_review_invalid', message);
const SUBRESOURCES = ['', 'ephemeralcontainers'];

/** Throws `admission_review_invalid`. */
export function readReview(json: unknown): Asked {
  const parsed = Review.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(
      `no ${KIND} of ${API_VERSION}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
    );
  }
  const { request } = parsed.data;
  const { uid, kind, operation, namespace } = request;
  if (kind.group !== '' || kind.version !== 'v1' || kind.kind !== 'Pod') {
    const what = `${kind.group}/${kind.version} ${kind.kind}`.slice(0, 300);
    throw invalid(`pods are judged here, and not ${what}: mend the rules of the configuration`);
  }
  const asked = { uid, namespace: namespace ?? '', isDryRun: request.dryRun === true };
  const isForUs =
    (operation === 'CREATE' || operation === 'UPDATE') &&
    SUBRESOURCES.includes(request.subResource ?? '');
  if (!isForUs) return { ...asked, pod: null, before: null };
  return {
    ...asked,
    pod: podIn(request.object, asked.namespace, 'object'),
    before: operation === 'UPDATE' ? podIn(request.oldObject, asked.namespace, 'oldObject') : null,
  };
}

function podIn(json: unknown, namespace: string, where: string): AskedPod {
  const parsed = Pod.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${where} is no pod: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  }
  const { metadata, spec } = parsed.data;
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  const { name, generateName } = metadata;
  return {
    namespace,
    name: name === '' ? `${generateName}*` : name,
    labels: metadata.labels,
    controller:
      owner === undefined
        ? null
        : {
            group: owner.apiVersion.includes('/') ? (owner.apiVersion.split('/')[0] ?? '') : '',
            kind: owner.kind,
            name: owner.name,
            uid: owner.uid,
          },
    isDeleting: typeof metadata.deletionTimestamp === 'string',
    containers: [...spec.containers, ...spec.initContainers, ...spec.ephemeralContainers],
  };
}

export interface Verdict {
  readonly isAllowed: boolean;
  readonly message: string;
  readonly warnings: readonly string[];
  /** For the audit log of the API server. */
  readonly notes: Readonly<Record<string, string>>;
}

/** As the API server wants it. A refusal reaches whoever asked with its message. */
export function answerTo(uid: string, { isAllowed, message, warnings, notes }: Verdict): object {
  const status = { code: 403, reason: 'Forbidden', message: message.slice(0, MESSAGE_MAX) };
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    response: {
      uid,
      allowed: isAllowed,
      ...(isAllowed ? {} : { status }),
      ...(warnings.length === 0
        ? {}
        : { warnings: warnings.slice(0, 8).map((text) => text.slice(0, WARNING_MAX)) }),
      ...(Object.keys(notes).length === 0 ? {} : { auditAnnotations: notes }),
    },
  };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };
/** What the API allows for `timeoutSeconds`, and what it takes when nothing is said. */
const TIMEOUT_MS_MAX = 30_000;
const TIMEOUT_MS_USUAL = 10_000;

/** `10s`, `1m0s`, `500ms` in ms, 30 s at most; 10 s for whatever cannot be read. */
export function timeoutMsOf(text: string | null): number {
  if (text === null || !/^(\d{1,6}(ms|s|m))+$/.test(text)) return TIMEOUT_MS_USUAL;
  const parts = text.matchAll(/(\d+)(ms|s|m)/g);
  const sumMs = [...parts].reduce(
    (sum, [, n, unit]) => sum + Number(n) * (UNITS[unit ?? ''] ?? 0),
    0,
  );
  return Math.min(sumMs, TIMEOUT_MS_MAX);
}
