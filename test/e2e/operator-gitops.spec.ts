import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { eventually } from '../support/fleet.js';
import { gitIn } from '../support/kube/git.js';
import {
  digestOf,
  imageOf,
  operatorBench,
  publishImage,
  START_IMAGE,
  type OperatorBench,
} from '../support/kube/operator-bench.js';
import { startTestManager, type TestManager } from '../support/manager.js';

const WAIT_MS = 60_000;
const VALUES = 'charts/edge/values-prod.yaml';
const ANNOTATIONS = {
  'bellwether.dev/product': 'edge',
  'bellwether.dev/gitops-path': VALUES,
  'bellwether.dev/helm-set': 'edge.image.tag={version},edge.image.digest={digest}',
};
const BEFORE = `# Kept by people.
replicas:   3
edge:
  image:
    repository: registry.example.com/shop/edge
    tag: "1.0.0" # the version
  args: [ "--a-long-line", "${'x'.repeat(120)}" ]
`;

/** A repository, what the operator writes for it, and somebody who brings into the cluster what stands in it. */
describe('an operator that writes for GitOps', { timeout: 4 * WAIT_MS }, () => {
  let manager: TestManager;
  let bench: OperatorBench | null = null;
  afterEach(async () => {
    await bench?.stop();
    bench = null;
    await manager.stop();
  });

  const start = async (output: string, more: Readonly<Record<string, string>> = {}) => {
    manager = await startTestManager();
    bench = await operatorBench(manager);
    const { cluster, dir, operator } = bench;
    const repository = join(dir, 'repository');
    const real = gitIn(repository);
    const git = (...words: readonly string[]): string => real(words);
    mkdirSync(dirname(join(repository, VALUES)), { recursive: true });
    writeFileSync(join(repository, VALUES), BEFORE);
    git('init', '--quiet', '--initial-branch=main');
    git('add', '.');
    git('commit', '--quiet', '-m', 'begin');
    // As a sidecar that syncs shows it: a link that is exchanged.
    symlinkSync(repository, join(dir, 'current'));
    cluster.workload({ name: 'edge', image: START_IMAGE, annotations: ANNOTATIONS });
    await operator('operator-1', {
      BELLWETHER_MODE: 'gitops',
      BELLWETHER_GITOPS_FORMAT: 'values',
      BELLWETHER_GITOPS_OUTPUT: output,
      BELLWETHER_GITOPS_REPOSITORY_DIR: join(dir, 'current'),
      ...more,
    });
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      expect(body.items).toMatchObject([{ status: 'online' }]);
    }, WAIT_MS);
    const written = join(
      dir,
      'gitops',
      output === 'patch' ? 'shop/deployments-edge.patch' : VALUES,
    );
    return { cluster, repository, git, written };
  };
  const rollOut = async (version: string): Promise<string> => {
    const body = { product: 'edge', version, strategy: 'immediate' } as never;
    const made = await manager.call('rollouts.create', { body });
    expect([made.status, made.body]).toMatchObject([202, {}]);
    return made.body.id;
  };
  const endsAs = (id: string, state: object) =>
    eventually(async () => {
      const { body } = await manager.call('rollouts.targets', { params: { id } });
      expect(body.items[0]).toMatchObject(state);
    }, WAIT_MS);
  const holds = (file: string, text: string) =>
    eventually(() => {
      expect(existsSync(file) ? readFileSync(file, 'utf8') : '').toContain(text);
      return Promise.resolve();
    }, WAIT_MS);
  const imageIn = (text: string): { tag: string; digest?: string } =>
    (parse(text) as { edge: { image: { tag: string; digest?: string } } }).edge.image;

  it('as patches that git takes, forward and back', async () => {
    const { cluster, repository, git, written } = await start('patch');
    await publishImage(manager, '1.1.0', 2);
    cluster.images.set(imageOf('1.1.0'), 'good');
    const good = await rollOut('1.1.0');
    await holds(written, digestOf('1.1.0'));
    git('apply', '--check', written);
    git('am', '--quiet', written);
    expect(git('log', '-1', '--format=%an: %s')).toBe(
      'bellwether-operator: shop/deployment/edge: 1.1.0\n',
    );
    expect(git('show', '--stat', '--format=')).toContain('1 file changed');
    const values = readFileSync(join(repository, VALUES), 'utf8');
    expect(imageIn(values)).toMatchObject({ tag: '1.1.0', digest: digestOf('1.1.0') });
    // What people wrote is still as they wrote it.
    expect(values).toContain('# Kept by people.');
    expect(values).toContain('# the version');
    expect(values).toContain('x'.repeat(120));
    cluster.setImage('deployments', 'shop', 'edge', imageOf('1.1.0'));
    await endsAs(good, { state: 'succeeded' });

    await publishImage(manager, '1.2.0', 3);
    const bad = await rollOut('1.2.0');
    await holds(written, digestOf('1.2.0'));
    git('am', '--quiet', written);
    cluster.setImage('deployments', 'shop', 'edge', imageOf('1.2.0'));
    await endsAs(bad, { state: 'rolled_back', error_code: 'upgrade_image_pull_failed' });
    await holds(written, 'back to 1.1.0');
    git('am', '--quiet', written);
    // To the character: where a value is there already, nothing else is touched.
    expect(readFileSync(join(repository, VALUES), 'utf8')).toBe(values);
  });

  it('as the values of a chart', async () => {
    const { cluster, written } = await start('file');
    await publishImage(manager, '1.1.0', 2);
    await rollOut('1.1.0');
    await holds(written, digestOf('1.1.0'));
    const text = readFileSync(written, 'utf8');
    expect(parse(text)).toEqual({
      ...(parse(BEFORE) as object),
      edge: {
        ...(parse(BEFORE) as { edge: object }).edge,
        image: {
          repository: 'registry.example.com/shop/edge',
          tag: '1.1.0',
          digest: digestOf('1.1.0'),
        },
      },
    });
    expect(cluster.imageOf('deployments', 'shop', 'edge')).toBe(START_IMAGE);
  });

  it('takes a patch away that nobody took, when its time is up', async () => {
    const { written } = await start('patch', { BELLWETHER_SYNC_DEADLINE_SECONDS: '2' });
    await publishImage(manager, '1.1.0', 2);
    const id = await rollOut('1.1.0');
    await holds(written, digestOf('1.1.0'));
    await endsAs(id, { state: 'rolled_back' });
    expect(existsSync(written)).toBe(false);
  });

  it.each([
    ['bellwether.dev/gitops-path', '../../etc/cron.d/x'],
    ['bellwether.dev/gitops-path', '.github/workflows/release.yml'],
    ['bellwether.dev/helm-set', 'replicas.image={image}'],
    ['bellwether.dev/helm-set', 'image'],
  ])('refuses before anything is down what it cannot write: %s %s', async (key, value) => {
    const { cluster, written } = await start('patch');
    const next = structuredClone(cluster.server.objects.get('deployments', 'shop', 'edge'));
    next.metadata.annotations = { ...next.metadata.annotations, [key]: value };
    cluster.server.objects.replace('deployments', next, { status: false });
    await publishImage(manager, '1.1.0', 2);
    const id = await rollOut('1.1.0');
    await endsAs(id, { state: 'failed', error_code: 'workload_unsupported' });
    expect(existsSync(written)).toBe(false);
  });
});
