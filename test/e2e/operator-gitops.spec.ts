import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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
import { allEndAs, endsAs, rollOut } from '../support/kube/rollouts.js';
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
    const env = {
      BELLWETHER_MODE: 'gitops',
      BELLWETHER_GITOPS_FORMAT: 'values',
      BELLWETHER_GITOPS_OUTPUT: output,
      BELLWETHER_GITOPS_REPOSITORY_DIR: join(dir, 'current'),
      ...more,
    };
    const first = await operator('operator-1', env);
    await eventually(async () => {
      const { body } = await manager.call('nodes.list');
      expect(body.items).toMatchObject([{ status: 'online' }]);
    }, WAIT_MS);
    const written = join(
      dir,
      'gitops',
      output === 'patch' ? 'shop/deployments-edge.patch' : VALUES,
    );
    return { cluster, repository, git, written, first, env };
  };
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
    const good = await rollOut(manager, '1.1.0');
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
    await endsAs(manager, good, { state: 'succeeded' });

    await publishImage(manager, '1.2.0', 3);
    const bad = await rollOut(manager, '1.2.0');
    await holds(written, digestOf('1.2.0'));
    git('am', '--quiet', written);
    cluster.setImage('deployments', 'shop', 'edge', imageOf('1.2.0'));
    await endsAs(manager, bad, { state: 'rolled_back', error_code: 'upgrade_image_pull_failed' });
    await holds(written, 'back to 1.1.0');
    git('am', '--quiet', written);
    // To the character: where a value is there already, nothing else is touched.
    expect(readFileSync(join(repository, VALUES), 'utf8')).toBe(values);
  });

  it('as the values of a chart', async () => {
    const { cluster, written } = await start('file');
    await publishImage(manager, '1.1.0', 2);
    await rollOut(manager, '1.1.0');
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
    const id = await rollOut(manager, '1.1.0');
    await holds(written, digestOf('1.1.0'));
    await endsAs(manager, id, { state: 'rolled_back' });
    expect(existsSync(written)).toBe(false);
  });

  describe('two workloads whose values stand in one file', () => {
    const SHARED = `edge:
  tag: "1.0.0"
  digest: ""
gate:
  tag: "1.0.0"
  digest: ""
`;
    const shared = async (output: string) => {
      const begun = await start(output);
      const { cluster, repository, git } = begun;
      writeFileSync(join(repository, VALUES), SHARED);
      git('commit', '--quiet', '--all', '-m', 'two of them');
      const { server } = cluster;
      const sets = (name: string) => ({
        ...ANNOTATIONS,
        'bellwether.dev/helm-set': `${name}.tag={version},${name}.digest={digest}`,
      });
      const edge = structuredClone(server.objects.get('deployments', 'shop', 'edge'));
      edge.metadata.annotations = sets('edge');
      server.objects.replace('deployments', edge, { status: false });
      cluster.workload({ name: 'gate', image: START_IMAGE, annotations: sets('gate') });
      await eventually(async () => {
        const { body } = await manager.call('nodes.list');
        expect(body.items.map(({ status }) => status)).toEqual(['online', 'online']);
      }, WAIT_MS);
      await publishImage(manager, '1.1.0', 2);
      cluster.images.set(imageOf('1.1.0'), 'good');
      return begun;
    };
    const both = { tag: '1.1.0', digest: digestOf('1.1.0') };
    const sync = (): void => {
      for (const name of ['edge', 'gate']) {
        bench?.cluster.setImage('deployments', 'shop', name, imageOf('1.1.0'));
      }
    };
    const bothIn = (file: string) =>
      eventually(() => {
        const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
        expect(parse(text)).toEqual({ edge: both, gate: both });
        return Promise.resolve();
      }, WAIT_MS);

    it('both land, neither undoes the other: as a file', async () => {
      const { written, repository, git } = await shared('file');
      const id = await rollOut(manager, '1.1.0');
      await bothIn(written);
      writeFileSync(join(repository, VALUES), readFileSync(written));
      git('commit', '--quiet', '--all', '-m', 'by another hand');
      sync();
      await allEndAs(manager, id, [{ state: 'succeeded' }, { state: 'succeeded' }]);
    });

    it('and what people change meanwhile stays as they changed it', async () => {
      const { written, repository, git } = await shared('file');
      await rollOut(manager, '1.1.0');
      await bothIn(written);
      writeFileSync(join(repository, VALUES), `${SHARED}replicas: 5 # by a person\n`);
      git('commit', '--quiet', '--all', '-m', 'more of them');
      await holds(written, 'by a person');
      expect(parse(readFileSync(written, 'utf8'))).toEqual({ edge: both, gate: both, replicas: 5 });
    });

    it('both land, neither undoes the other: as patches, one after the other', async () => {
      const { repository, git, written } = await shared('patch');
      const id = await rollOut(manager, '1.1.0');
      const patches = [written, written.replace('edge', 'gate')];
      for (const patch of patches) await holds(patch, digestOf('1.1.0'));
      // Lines that stand side by side: the second does not fit before it is made anew upon the first.
      await eventually(() => {
        for (const patch of patches.filter((one) => existsSync(one))) {
          try {
            git('am', '--quiet', patch);
          } catch {
            git('am', '--abort');
          }
        }
        expect(parse(readFileSync(join(repository, VALUES), 'utf8'))).toEqual({
          edge: both,
          gate: both,
        });
        return Promise.resolve();
      }, WAIT_MS);
      expect(git('log', '--format=%s', '-2').trim().split('\n').sort()).toEqual([
        'shop/deployment/edge: 1.1.0',
        'shop/deployment/gate: 1.1.0',
      ]);
      await eventually(() => {
        expect(patches.filter((one) => existsSync(one))).toEqual([]);
        return Promise.resolve();
      }, WAIT_MS);
      sync();
      await allEndAs(manager, id, [{ state: 'succeeded' }, { state: 'succeeded' }]);
    });

    it('an operator that takes over writes what waits anew, and goes on waiting', async () => {
      const { written, first, env } = await shared('file');
      const id = await rollOut(manager, '1.1.0');
      await bothIn(written);
      await allEndAs(manager, id, [{ state: 'probation' }, { state: 'probation' }]);
      await first.stop();
      // As an emptyDir goes with its pod.
      rmSync(dirname(dirname(dirname(written))), { recursive: true });
      await bench?.operator('operator-2', env);
      await bothIn(written);
      sync();
      await allEndAs(manager, id, [{ state: 'succeeded' }, { state: 'succeeded' }]);
    });
  });

  describe('that is replaced by another, and its volume is empty', () => {
    const replaced = async ({ first, env, written }: Awaited<ReturnType<typeof start>>) => {
      await first.stop();
      // As an emptyDir goes with its pod.
      rmSync(join(bench!.dir, 'gitops'), { recursive: true });
      expect(existsSync(written)).toBe(false);
      return bench!.operator('operator-2', env);
    };
    const sync = (image: string): void => {
      bench!.cluster.setImage('deployments', 'shop', 'edge', image);
    };
    /** Into the repository, as another hand does it. */
    const commit = ({ git, written, repository }: Awaited<ReturnType<typeof start>>): void => {
      if (written.endsWith('.patch')) git('am', '--quiet', written);
      else writeFileSync(join(repository, VALUES), readFileSync(written));
      if (!written.endsWith('.patch')) git('commit', '--quiet', '--all', '-m', 'by another hand');
    };
    /** What the operator goes on waiting for, as it stands in the cluster. */
    const waitsFor = (returning: object | null) =>
      eventually(() => {
        const [state] = bench!.cluster.server.objects
          .list('configmaps', 'bellwether')
          .flatMap(({ data }) => (data as { state?: string } | undefined)?.state ?? []);
        const kept = JSON.parse(state ?? '{}') as { returning?: object | null };
        if (returning === null) expect(kept.returning).toBeNull();
        else expect(kept.returning).toMatchObject(returning);
        return Promise.resolve();
      }, WAIT_MS);

    it.each(['file', 'patch'])('goes on going forward: as a %s', async (output) => {
      const begun = await start(output);
      await publishImage(manager, '1.1.0', 2);
      bench!.cluster.images.set(imageOf('1.1.0'), 'good');
      const id = await rollOut(manager, '1.1.0');
      await holds(begun.written, digestOf('1.1.0'));
      await endsAs(manager, id, { state: 'probation' });
      await replaced(begun);
      await holds(begun.written, digestOf('1.1.0'));
      commit(begun);
      sync(imageOf('1.1.0'));
      await endsAs(manager, id, { state: 'succeeded' });
      await waitsFor(null);
    });

    it.each(['file', 'patch'])(
      'goes on going back, until that was taken: as a %s',
      async (output) => {
        const begun = await start(output);
        const { written } = begun;
        await publishImage(manager, '1.1.0', 2);
        bench!.cluster.images.set(imageOf('1.1.0'), 'good');
        const good = await rollOut(manager, '1.1.0');
        await holds(written, digestOf('1.1.0'));
        commit(begun);
        sync(imageOf('1.1.0'));
        await endsAs(manager, good, { state: 'succeeded' });
        await publishImage(manager, '1.2.0', 3);
        const bad = await rollOut(manager, '1.2.0');
        await holds(
          written,
          `+    digest: "${digestOf('1.2.0')}`.slice(output === 'patch' ? 0 : 1),
        );
        commit(begun);
        sync(imageOf('1.2.0'));
        await endsAs(manager, bad, {
          state: 'rolled_back',
          error_code: 'upgrade_image_pull_failed',
        });
        await waitsFor({ from: imageOf('1.1.0'), to: imageOf('1.2.0'), isOut: true });
        const back = readFileSync(written, 'utf8').replace(/^Date: .*/m, '');

        const second = await replaced(begun);
        await eventually(() => {
          const text = existsSync(written) ? readFileSync(written, 'utf8') : '';
          expect(text.replace(/^Date: .*/m, '')).toBe(back);
          return Promise.resolve();
        }, WAIT_MS);
        await waitsFor({ from: imageOf('1.1.0'), to: imageOf('1.2.0') });
        commit(begun);
        sync(imageOf('1.1.0'));
        await waitsFor(null);

        // A third finds nothing to write.
        await second.stop();
        rmSync(join(bench!.dir, 'gitops'), { recursive: true });
        await bench!.operator('operator-3', begun.env);
        await publishImage(manager, '1.3.0', 4);
        bench!.cluster.images.set(imageOf('1.3.0'), 'good');
        const after = await rollOut(manager, '1.3.0');
        await holds(written, digestOf('1.3.0'));
        commit(begun);
        sync(imageOf('1.3.0'));
        await endsAs(manager, after, { state: 'succeeded' });
      },
    );

    it('takes back also what the cluster never took, until it did both or another upgrade is written', async () => {
      const begun = await start('file', { BELLWETHER_SYNC_DEADLINE_SECONDS: '2' });
      const { written } = begun;
      await publishImage(manager, '1.1.0', 2);
      const id = await rollOut(manager, '1.1.0');
      await holds(written, digestOf('1.1.0'));
      await endsAs(manager, id, { state: 'rolled_back' });
      await waitsFor({ from: START_IMAGE, to: imageOf('1.1.0'), isOut: false });
      const second = await replaced(begun);
      await holds(written, 'tag: "1.0.0"');
      expect(readFileSync(written, 'utf8')).toBe(BEFORE);
      // Late, and then the way back.
      sync(imageOf('1.1.0'));
      await waitsFor({ isOut: true });
      sync(START_IMAGE);
      await waitsFor(null);
      await second.stop();

      await bench!.operator('operator-3', begun.env);
      const again = await rollOut(manager, '1.1.0');
      await endsAs(manager, again, { state: 'rolled_back' });
      await waitsFor({ isOut: false });
      await publishImage(manager, '1.2.0', 3);
      await rollOut(manager, '1.2.0');
      await holds(written, digestOf('1.2.0'));
      await waitsFor(null);
    });
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
    const id = await rollOut(manager, '1.1.0');
    await endsAs(manager, id, { state: 'failed', error_code: 'workload_unsupported' });
    expect(existsSync(written)).toBe(false);
  });
});
