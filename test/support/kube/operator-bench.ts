import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOperator, type RunningOperator } from '../../../src/operator/operator.js';
import { readOperatorConfig, type OperatorConfig } from '../../../src/operator/config.js';
import { CATALOG_KEY, signedManifest, aManifest } from '../catalog.js';
import { makeTempDir } from '../databases.js';
import type { TestManager } from '../manager.js';
import { startCluster, type TestCluster } from './cluster.js';

/** Shorter than in a cluster. */
export const LEASE = { durationMs: 3_000, marginMs: 1_000, retryMs: 300 };
const REFERENCE = 'registry.example.com/shop/edge';
export const digestOf = (version: string): string =>
  `sha256:${createHash('sha256').update(`edge ${version}`).digest('hex')}`;
/** As the operator sets it. */
export const imageOf = (version: string): string => `${REFERENCE}@${digestOf(version)}`;
export const START_IMAGE = `${REFERENCE}:1.0.0`;

/** A release that is an image and nothing else. */
export async function publishImage(
  manager: TestManager,
  version: string,
  sequence: number,
): Promise<void> {
  const image = { reference: REFERENCE, digest: digestOf(version) };
  const manifest = aManifest({ version, sequence, image, artifacts: [] }, Buffer.from('x'));
  const { status, body } = await manager.call('releases.publish', {
    body: signedManifest(manifest),
  });
  if (status !== 201) throw new Error(JSON.stringify(body));
}

export interface OperatorBench {
  readonly cluster: TestCluster;
  readonly dir: string;
  /** What an operator of this cluster and manager is told. `apiToken`: who it is for the API server. */
  config(
    name?: string,
    env?: Readonly<Record<string, string>>,
    apiToken?: string,
  ): Promise<OperatorConfig>;
  /** Starts an operator, or a second one beside it. */
  operator(
    name?: string,
    env?: Readonly<Record<string, string>>,
    apiToken?: string,
  ): Promise<RunningOperator>;
  policy(lines?: readonly string[]): void;
  stop(): Promise<void>;
}

/** A cluster, and operators in it that belong to a manager by a cluster token. */
export async function operatorBench(
  manager: TestManager,
  clusterName = 'prod-1',
  options: { readonly maxNodes?: number; readonly tokenCluster?: string } = {},
): Promise<OperatorBench> {
  const dir = makeTempDir();
  const cluster = await startCluster({ secondMs: 20 });
  const body = {
    cluster: options.tokenCluster ?? clusterName,
    max_nodes: options.maxNodes ?? null,
  };
  const made = await manager.call('enrollment.create_cluster', { body });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  writeFileSync(join(dir.path, 'token'), made.body.secret);
  const policyDir = join(dir.path, 'policy');
  mkdirSync(policyDir);
  const policy: OperatorBench['policy'] = (lines = []) => {
    const own = ['enabled = true', 'boot_health_window_secs = 1', ...lines];
    const signer = ['[[signers]]', 'name = "pipeline"', `public_key = "${CATALOG_KEY}"`];
    writeFileSync(join(policyDir, 'policy.toml'), [...own, ...signer].join('\n'), { mode: 0o640 });
  };
  policy();
  const running = new Set<RunningOperator>();
  const configOf: OperatorBench['config'] = async (
    name = 'operator-1',
    env = {},
    apiToken = '',
  ) => {
    const config = await readOperatorConfig({
      BELLWETHER_MANAGER_URL: manager.url,
      BELLWETHER_CLUSTER_NAME: clusterName,
      BELLWETHER_NAMESPACE: 'bellwether',
      BELLWETHER_TOKEN_FILE: join(dir.path, 'token'),
      BELLWETHER_POLICY_DIR: policyDir,
      BELLWETHER_DATA_DIR: join(dir.path, name),
      BELLWETHER_GITOPS_DIR: join(dir.path, 'gitops'),
      BELLWETHER_KUBE_URL: cluster.server.url,
      BELLWETHER_POD_NAME: name,
      BELLWETHER_IMAGE_GRACE_SECONDS: '1',
      BELLWETHER_ORPHAN_GRACE_SECONDS: '1',
      ...env,
    });
    const { url } = config.kube;
    const tokenFile = join(dir.path, `${name}.api-token`);
    writeFileSync(tokenFile, apiToken);
    return { ...config, lookMs: 100, kube: apiToken === '' ? { url } : { url, tokenFile } };
  };
  return {
    cluster,
    dir: dir.path,
    policy,
    config: configOf,
    operator: async (name = 'operator-1', env = {}, apiToken = '') => {
      const config = await configOf(name, env, apiToken);
      const one = await runOperator({
        config,
        log: (message, fields) => {
          if (process.env['BELLWETHER_TEST_LOG'] === '1')
            console.error(name, message, fields ?? '');
        },
        times: {
          lease: LEASE,
          retryMs: 500,
          backoffMs: 50,
          refusalsMs: 300,
        },
      });
      running.add(one);
      return one;
    },
    stop: async () => {
      await Promise.all([...running].map((one) => one.stop()));
      await cluster.stop();
      dir.remove();
    },
  };
}
