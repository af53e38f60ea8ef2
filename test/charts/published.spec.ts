import { describe, expect, it } from 'vitest';
import { publishedSchemas, type PublishedCheck } from '../support/kube/published.js';
import { CASES, manifestsOf, type Manifest } from './cases.js';

const schemas = await publishedSchemas();
const why = typeof schemas === 'string' ? `: skipped, ${schemas}` : '';
/** Of OpenShift, not of Kubernetes: its own shape is held in `manifests.spec.ts`. */
const isOurs = ({ kind }: Manifest): boolean => !['Route', 'ServiceMonitor'].includes(kind);

describe.skipIf(typeof schemas === 'string')(`published schemas of Kubernetes${why}`, () => {
  const check = schemas as PublishedCheck;

  it.each(CASES)('know every object and field of $chart, $name', async (one) => {
    const objects = manifestsOf(one).filter(isOurs);
    expect(objects.length).toBeGreaterThan(3);
    for (const object of objects) {
      expect([object.kind, object.metadata.name, await check(object)]).toEqual([
        object.kind,
        object.metadata.name,
        [],
      ]);
    }
  });

  it('find what is wrong: a type, a field that is missing, one that there is not', async () => {
    const [sample] = manifestsOf(CASES[0]!).filter(({ kind }) => kind === 'Deployment');
    const spoiled = async (change: (spec: Record<string, unknown>) => void): Promise<string[]> => {
      const object = structuredClone(sample) as unknown as { spec: Record<string, unknown> };
      change(object.spec);
      return check(object);
    };
    expect(await spoiled((spec) => (spec['replicas'] = '1'))).toEqual([
      expect.stringContaining('/spec/replicas') as string,
    ]);
    expect(await spoiled((spec) => delete spec['selector'])).toEqual([
      expect.stringContaining('selector') as string,
    ]);
    const typo = await spoiled((spec) => {
      const { spec: pod } = spec['template'] as { spec: Record<string, unknown> };
      pod['toleration'] = [];
    });
    expect(typo).toEqual(['/spec/template/spec/toleration is unknown']);
  });
});
