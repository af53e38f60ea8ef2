import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { describe, expect, it } from 'vitest';
import { parsePolicy } from '../../src/agent/policy-file.js';
import { readOperatorConfig } from '../../src/operator/config.js';
import { loadConfig } from '../../src/server/platform/config/index.js';
import { ROOT } from '../walls/tree.js';
import { CASES, manifestIn, manifestsOf, type Manifest } from './cases.js';

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const KUBE = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

interface Settings {
  readonly data: Readonly<Record<string, string>>;
}
const settingsIn = (all: readonly Manifest[]): Settings['data'] | undefined =>
  all.find(({ kind, data }) => kind === 'ConfigMap' && data?.['BELLWETHER_LOG_LEVEL'] !== undefined)
    ?.data;

/** Variables that containers get one by one. */
const variablesIn = (all: readonly Manifest[]): string[] =>
  [...JSON.stringify(all).matchAll(/"name":"([A-Z][A-Z0-9_]+)"/g)].map(([, name = '']) => name);

const operatorReads = (): string => {
  const folder = join(ROOT, 'src/operator/webhook');
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return ['src/operator/config.ts', ...files.map((name) => `src/operator/webhook/${name}`)]
    .map(textOf)
    .join('\n');
};
const hasWebhook = existsSync(join(ROOT, 'src/operator/webhook'));
/** As `nodeNameOverride` and `installId` have it; by default the id of the release `fleet` in `bellwether`. */
const INSTALL = createHash('sha256').update('bellwether/fleet').digest('hex').slice(0, 32);
const namesOf = (name: string): object =>
  name === 'everything'
    ? { installId: 'fleet-north', nodeName: 'north/{workload}' }
    : { installId: INSTALL, nodeName: '{cluster}/{workload}' };
/** Of parts of the operator that the chart is ahead of. */
const COMING = /^BELLWETHER_(WEBHOOK_.*|GITOPS_(FORMAT|OUTPUT|REPOSITORY_DIR))$/;

describe.each(CASES.filter(({ chart }) => chart === 'bellwether-agent'))(
  'the settings of $chart, $name',
  (one) => {
    const all = manifestsOf(one);
    const settings = settingsIn(all);

    it('are taken by the operator as they are meant', async () => {
      if (settings === undefined) {
        expect(all.some(({ kind }) => kind === 'DaemonSet')).toBe(true);
        return;
      }
      const config = await readOperatorConfig({ ...settings, ...KUBE });
      const state = all.find(
        ({ kind, metadata }) => kind === 'Role' && metadata.name.endsWith('-state'),
      );
      expect(config).toMatchObject({
        clusterName: 'prod-1',
        namespace: state?.metadata.namespace,
        mode: settings['BELLWETHER_MODE'],
        imageGraceMs: 30_000,
        syncDeadlineMs: 1_800_000,
        decommissionMs: 120_000,
        ...namesOf(one.name),
      });
      expect(config.labelRules).toHaveLength(2);
      const job = JSON.stringify(manifestIn(all, 'Job', `${nameOf(all)}-decommission`));
      const deployment = /"BELLWETHER_DEPLOYMENT","value":"([^"]+)"/.exec(job)?.[1];
      expect(
        await readOperatorConfig({ ...settings, ...KUBE, BELLWETHER_DEPLOYMENT: deployment }),
      ).toMatchObject({ deployment: { namespace: 'bellwether', name: nameOf(all) } });
    });

    it('are variables that somebody reads', () => {
      const reads = operatorReads();
      const others =
        /^(HTTPS_PROXY|NO_PROXY|NODE_\w+|TZ|AGENT_DIR|MANAGER_URL|CLUSTER_NAME|MACHINE_NAME|INSTALL_ID|PLAINTEXT)$/;
      const names = [...Object.keys(settings ?? {}), ...variablesIn(all)];
      const unknown = names.filter(
        (name) => !others.test(name) && !reads.includes(name) && (hasWebhook || !COMING.test(name)),
      );
      expect(unknown).toEqual([]);
    });

    it('hold a policy that counts', () => {
      const texts = all.flatMap(({ data = {} }) =>
        Object.entries(data).filter(
          ([name]) => name.startsWith('policy') && name.endsWith('.toml'),
        ),
      );
      for (const [name, text] of texts) {
        expect(parsePolicy(name, Buffer.from(text))).toMatchObject({ ok: true });
      }
      const isNamed = !all.some(({ kind }) => kind === 'DaemonSet');
      if (isNamed) expect(texts.length).toBe(1);
    });
  },
);

const nameOf = (all: readonly Manifest[]): string =>
  all.find(
    ({ kind, metadata }) =>
      kind === 'Deployment' && metadata.labels['app.kubernetes.io/component'] === 'operator',
  )?.metadata.name ?? '';

describe.each(CASES.filter(({ chart }) => chart === 'bellwether'))(
  'the settings of $chart, $name',
  (one) => {
    const all = manifestsOf(one);
    const settings = settingsIn(all) ?? {};
    const secret = Object.fromEntries(variablesIn(all).map((name) => [name, 'x']));

    it('are taken by the manager', () => {
      const config = loadConfig({ ...secret, ...settings });
      expect(config).toMatchObject({
        publicOrigin: 'https://bellwether.example',
        host: '0.0.0.0',
        port: 8480,
        dataDir: '/var/lib/bellwether',
        databaseUrl: settings['DATABASE_URL'] ?? null,
      });
    });
  },
);

const SCHEMA = 'deploy/chart/bellwether/values.schema.json';
describe('values.schema.json of the manager', () => {
  interface Schema {
    readonly properties: { readonly settings: { readonly propertyNames: { enum: string[] } } };
  }

  it('takes each variable that the chart does not set by itself, and none with a secret', async () => {
    const schema = JSON.parse(textOf(SCHEMA)) as Schema;
    const source = textOf('src/server/platform/config/config.ts');
    const known = [...source.matchAll(/^ {2}([A-Z][A-Z0-9_]+):/gm)].map(([, name = '']) => name);
    const templates = ['_helpers.tpl', 'configmap.yaml', 'statefulset.yaml']
      .map((name) => textOf(`deploy/chart/bellwether/templates/${name}`))
      .join('\n');
    const free = known.filter(
      (name) => !new RegExp(`\\b${name}\\b`).test(templates) && name !== 'BELLWETHER_MASTER_KEY',
    );
    if (process.env['BELLWETHER_WRITE_GOLDEN'] === '1') {
      schema.properties.settings.propertyNames.enum = free;
      const file = join(ROOT, SCHEMA);
      const style = { ...(await resolveConfig(file)), filepath: file };
      writeFileSync(file, await format(JSON.stringify(schema), style));
    }
    expect(schema.properties.settings.propertyNames.enum).toEqual(free);
  });
});

describe('the values', () => {
  it.each(['bellwether', 'bellwether-agent'])('of %s have a default and a schema each', (chart) => {
    const schema = JSON.parse(textOf(`deploy/chart/${chart}/values.schema.json`)) as {
      properties: Record<string, unknown>;
    };
    const values = textOf(`deploy/chart/${chart}/values.yaml`);
    const defaults = [...values.matchAll(/^([a-zA-Z0-9]+):/gm)].map(([, name = '']) => name);
    const described = Object.keys(schema.properties).filter((name) => name !== 'global');
    expect(defaults.sort()).toEqual(described.sort());
  });
});
