import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { FleetError } from '../core/kernel/index.js';
import { MODES, readLabelRules, type LabelRule, type Mode } from '../core/workload/index.js';
import { ClusterName } from '../protocol/node/index.js';
import { NAME_WORDS } from './names.js';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Patches for kustomize, or values of charts. */
export const GITOPS_FORMATS = ['kustomize', 'values'] as const;
/** The file as it shall be, or a patch that makes it so. */
export const GITOPS_OUTPUTS = ['file', 'patch'] as const;
/** As names of nodes take it; the rest is put in the place of `{…}`. */
const NODE_NAME = /^[A-Za-z0-9{][A-Za-z0-9._/:@{} -]{0,127}$/;
const Seconds = z.coerce.number().int().min(1).max(86_400);

const Env = z.object({
  BELLWETHER_MANAGER_URL: z.url().max(2_048),
  BELLWETHER_CLUSTER_NAME: ClusterName,
  /** Which installation its nodes are of; becomes a label of theirs. */
  BELLWETHER_INSTALL_ID: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
    .optional(),
  BELLWETHER_NODE_NAME: z
    .string()
    .regex(NODE_NAME)
    .refine((text) => text.includes('{workload}'), 'it needs {workload}: names are given once')
    .refine(
      (text) => !/[{}]/.test(text.replaceAll(NAME_WORDS, '')),
      'there are {cluster} and {workload}',
    )
    .default('{cluster}/{workload}'),
  BELLWETHER_MODE: z.enum(MODES).default('operator'),
  BELLWETHER_NAMESPACE: z.string().min(1).max(63).optional(),
  /** Empty: all namespaces. */
  BELLWETHER_WATCH_NAMESPACE: z.string().max(63).default(''),
  BELLWETHER_TOKEN_FILE: z.string().min(1).default('/etc/bellwether/token/enrollmentToken'),
  BELLWETHER_POLICY_DIR: z.string().min(1).default('/etc/bellwether/policy'),
  BELLWETHER_DATA_DIR: z.string().min(1).default('/var/lib/bellwether-operator'),
  BELLWETHER_GITOPS_DIR: z.string().min(1).default('/var/lib/bellwether-operator/gitops'),
  BELLWETHER_GITOPS_FORMAT: z.enum(GITOPS_FORMATS).default('kustomize'),
  BELLWETHER_GITOPS_OUTPUT: z.enum(GITOPS_OUTPUTS).default('file'),
  BELLWETHER_GITOPS_REPOSITORY_DIR: z.string().min(1).optional(),
  BELLWETHER_MANAGER_CA_FILE: z.string().min(1).optional(),
  BELLWETHER_ALLOW_PLAINTEXT: z.enum(['true', 'false']).default('false'),
  BELLWETHER_NODE_LABELS: z
    .string()
    .max(2_000)
    .default('topology.kubernetes.io/zone=zone,topology.kubernetes.io/region=region'),
  BELLWETHER_POD_NAME: z.string().min(1).max(253).optional(),
  /** Not given: no port at all. */
  BELLWETHER_HEALTH_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  BELLWETHER_LOG_LEVEL: z.enum(['info', 'warning']).default('info'),
  BELLWETHER_IMAGE_GRACE_SECONDS: Seconds.default(30),
  BELLWETHER_SYNC_DEADLINE_SECONDS: Seconds.default(1_800),
  BELLWETHER_ORPHAN_GRACE_SECONDS: Seconds.default(60),
  BELLWETHER_MANY_GONE_SECONDS: Seconds.default(3_600),
  BELLWETHER_LOOK_SECONDS: Seconds.default(2),
  BELLWETHER_DEPLOYMENT: z
    .string()
    .regex(/^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/, 'write NAMESPACE/NAME')
    .optional(),
  BELLWETHER_DECOMMISSION_SECONDS: Seconds.default(120),
  /** For a kubeconfig-less run outside a cluster: `kubectl proxy`. */
  BELLWETHER_KUBE_URL: z.url().optional(),
  KUBERNETES_SERVICE_HOST: z.string().optional(),
  KUBERNETES_SERVICE_PORT: z.string().default('443'),
});

export interface DeploymentName {
  readonly namespace: string;
  readonly name: string;
}

export interface OperatorConfig {
  readonly manager: string;
  readonly clusterName: string;
  /** Which installation its nodes are of; null: it is not told. */
  readonly installId: string | null;
  /** What a node is called when it enrolls; `{cluster}` and `{workload}` are put in. */
  readonly nodeName: string;
  readonly mode: Mode;
  /** Where its own Secrets, ConfigMaps and Lease are. */
  readonly namespace: string;
  /** Where it looks for workloads; null: everywhere. */
  readonly watchNamespace: string | null;
  readonly tokenFile: string;
  readonly policyDir: string;
  readonly dataDir: string;
  readonly gitops: {
    readonly dir: string;
    readonly format: (typeof GITOPS_FORMATS)[number];
    readonly output: (typeof GITOPS_OUTPUTS)[number];
    /** A copy of the repository, to read: what is changed is what stands there. */
    readonly repositoryDir: string | undefined;
  };
  readonly managerCaFile: string | undefined;
  readonly allowPlaintext: boolean;
  readonly labelRules: readonly LabelRule[];
  readonly podName: string;
  /** Where probes are answered; null: nowhere. */
  readonly healthPort: number | null;
  readonly logLevel: 'info' | 'warning';
  readonly imageGraceMs: number;
  readonly syncDeadlineMs: number;
  readonly orphanGraceMs: number;
  /** The same, where most of the workloads seem to be gone at once. */
  readonly manyGoneMs: number;
  readonly lookMs: number;
  /** Of the operator itself, which `--decommission` stops first; null: somebody else did. */
  readonly deployment: DeploymentName | null;
  readonly decommissionMs: number;
  readonly kube: {
    readonly url: string;
    readonly ca?: string | undefined;
    readonly tokenFile?: string | undefined;
  };
}

/** Throws `config_invalid` with every problem at once. */
export async function readOperatorConfig(
  env: Readonly<Record<string, string | undefined>>,
): Promise<OperatorConfig> {
  const parsed = Env.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.')}: ${message}`,
    );
    throw new FleetError('config_invalid', problems.join('; '));
  }
  const given = parsed.data;
  const labelRules = readLabelRules(given.BELLWETHER_NODE_LABELS);
  if (labelRules === null) {
    throw new FleetError(
      'config_invalid',
      'BELLWETHER_NODE_LABELS: write FROM=TO, sixteen at most',
    );
  }
  const manager = new URL(given.BELLWETHER_MANAGER_URL);
  const isPlain =
    manager.protocol !== 'https:' && !['127.0.0.1', 'localhost'].includes(manager.hostname);
  if (isPlain && given.BELLWETHER_ALLOW_PLAINTEXT !== 'true') {
    throw new FleetError('config_invalid', 'BELLWETHER_MANAGER_URL must be https');
  }
  const read = (name: string): Promise<string | undefined> =>
    readFile(join(SERVICE_ACCOUNT, name), 'utf8').catch(() => undefined);
  const namespace = given.BELLWETHER_NAMESPACE ?? (await read('namespace'))?.trim() ?? 'bellwether';
  const watched = given.BELLWETHER_WATCH_NAMESPACE;
  return {
    manager: manager.origin,
    clusterName: given.BELLWETHER_CLUSTER_NAME,
    installId: given.BELLWETHER_INSTALL_ID ?? null,
    nodeName: given.BELLWETHER_NODE_NAME,
    mode: given.BELLWETHER_MODE,
    namespace,
    watchNamespace: watched === '' ? null : watched,
    tokenFile: given.BELLWETHER_TOKEN_FILE,
    policyDir: given.BELLWETHER_POLICY_DIR,
    dataDir: given.BELLWETHER_DATA_DIR,
    gitops: {
      dir: given.BELLWETHER_GITOPS_DIR,
      format: given.BELLWETHER_GITOPS_FORMAT,
      output: given.BELLWETHER_GITOPS_OUTPUT,
      repositoryDir: given.BELLWETHER_GITOPS_REPOSITORY_DIR,
    },
    managerCaFile: given.BELLWETHER_MANAGER_CA_FILE,
    allowPlaintext: given.BELLWETHER_ALLOW_PLAINTEXT === 'true',
    labelRules,
    podName: given.BELLWETHER_POD_NAME ?? hostname(),
    healthPort: given.BELLWETHER_HEALTH_PORT ?? null,
    logLevel: given.BELLWETHER_LOG_LEVEL,
    imageGraceMs: given.BELLWETHER_IMAGE_GRACE_SECONDS * 1_000,
    syncDeadlineMs: given.BELLWETHER_SYNC_DEADLINE_SECONDS * 1_000,
    orphanGraceMs: given.BELLWETHER_ORPHAN_GRACE_SECONDS * 1_000,
    manyGoneMs: given.BELLWETHER_MANY_GONE_SECONDS * 1_000,
    lookMs: given.BELLWETHER_LOOK_SECONDS * 1_000,
    deployment: deploymentIn(given.BELLWETHER_DEPLOYMENT),
    decommissionMs: given.BELLWETHER_DECOMMISSION_SECONDS * 1_000,
    kube: await kubeOf(given, read),
  };
}

function deploymentIn(text: string | undefined): DeploymentName | null {
  if (text === undefined) return null;
  const [namespace = '', name = ''] = text.split('/');
  return { namespace, name };
}

async function kubeOf(
  given: z.infer<typeof Env>,
  read: (name: string) => Promise<string | undefined>,
): Promise<OperatorConfig['kube']> {
  if (given.BELLWETHER_KUBE_URL !== undefined) return { url: given.BELLWETHER_KUBE_URL };
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = given;
  if (host === undefined) {
    throw new FleetError('config_invalid', 'this is no pod; set BELLWETHER_KUBE_URL');
  }
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `https://${name}:${port}`,
    ca: await read('ca.crt'),
    tokenFile: join(SERVICE_ACCOUNT, 'token'),
  };
}
