import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeTempDir } from '../../test/support/databases.js';
import { eventually } from '../../test/support/fleet.js';
import { aWorkload, DIGEST } from '../../test/support/kube/views.js';
import { GitopsApplier } from './gitops.js';

const PATH = 'shop/deployments-edge.values.yaml';

describe('what is written for GitOps', () => {
  const dir = makeTempDir();
  afterAll(() => dir.remove());

  it('follows the repository while somebody waits for it, and not once that is another process', async () => {
    const [out, repositoryDir] = [join(dir.path, 'out'), join(dir.path, 'repository')];
    const inRepository = (text: string): void => {
      mkdirSync(dirname(join(repositoryDir, PATH)), { recursive: true });
      writeFileSync(join(repositoryDir, PATH), text);
    };
    inRepository('replicas: 1\n');
    const applier = new GitopsApplier({
      dir: out,
      format: 'values',
      output: 'file',
      repositoryDir,
      clusterName: 'prod-1',
      clock: { now: () => Date.now() },
      mayAct: () => true,
      log: () => undefined,
    });
    const change = { container: 'edge', image: `r.example/edge@${DIGEST}`, version: '1.1.0' };
    const [edge, gate] = [aWorkload({}), aWorkload({ name: 'gate' })];
    await applier.apply(edge, { ...change, previousImage: null, resourceVersion: '1', uid: 'u' });
    await applier.apply(gate, { ...change, previousImage: null, resourceVersion: '1', uid: 'g' });
    const written = (): string => readFileSync(join(out, PATH), 'utf8');
    expect(written()).toContain('replicas: 1');
    inRepository('replicas: 2\n');
    await eventually(() => {
      expect(written()).toContain('replicas: 2');
      return Promise.resolve();
    }, 20_000);

    await applier.forget(edge);
    inRepository('replicas: 3\n');
    const other = join(repositoryDir, PATH.replace('edge', 'gate'));
    writeFileSync(other, 'replicas: 3\n');
    // The other workload still waits: by then both would have been written.
    await eventually(() => {
      expect(readFileSync(join(out, PATH.replace('edge', 'gate')), 'utf8')).toContain(
        'replicas: 3',
      );
      return Promise.resolve();
    }, 20_000);
    expect(written()).toContain('replicas: 2');
  }, 60_000);
});
