import { describe, expect, it } from 'vitest';
import { aWorkload } from '../../../test/support/kube/views.js';
import { digestIn, isOthers, toBeJudged, wouldAdopt, type AskedPod } from './admission.js';

const HEX = 'ab'.repeat(32);
const main = { name: 'main', image: 'registry.example.com/shop/edge@sha256:x' };
const aPod = (more: Partial<AskedPod> = {}): AskedPod => ({
  ...{ namespace: 'shop', name: 'edge-*', labels: { app: 'edge' }, isDeleting: false },
  controller: { group: 'apps', kind: 'ReplicaSet', name: 'edge-1', uid: 'rs-1' },
  containers: [main],
  ...more,
});

describe('what of a pod is judged', () => {
  it('all of a new one, and of one that comes to another owner', () => {
    expect(toBeJudged(aPod(), null)).toEqual([main]);
    expect(toBeJudged(aPod(), aPod({ controller: null }))).toEqual([main]);
  });

  it('of a change what is new or other, by name', () => {
    const more = { name: 'debug', image: 'x' };
    expect(toBeJudged(aPod(), aPod())).toEqual([]);
    expect(toBeJudged(aPod({ containers: [main, more] }), aPod())).toEqual([more]);
    const moved = { name: 'main', image: 'y' };
    expect(toBeJudged(aPod({ containers: [moved] }), aPod())).toEqual([moved]);
  });

  it('nothing of a pod that goes: its finalizers have to come off', () => {
    expect(toBeJudged(aPod({ isDeleting: true }), null)).toEqual([]);
  });
});

it('a pod is taken up in its own namespace, by every label of the selector', () => {
  const workload = aWorkload({ selector: { app: 'edge', tier: 'front' } });
  expect(wouldAdopt(workload, aPod({ labels: { app: 'edge', tier: 'front', x: 'y' } }))).toBe(true);
  expect(wouldAdopt(workload, aPod())).toBe(false);
  const elsewhere = aPod({ namespace: 'other', labels: { app: 'edge', tier: 'front' } });
  expect(wouldAdopt(workload, elsewhere)).toBe(false);
  expect(wouldAdopt(aWorkload({ selector: {} }), aPod())).toBe(false);
});

it('containers of others are named by the workload, sixteen at most, and never all at once', () => {
  const says = (text: string) =>
    aWorkload({ annotations: { 'bellwether.dev/other-containers': text } });
  expect(isOthers(says('istio-proxy, debugger-*'), 'istio-proxy')).toBe(true);
  expect(isOthers(says('istio-proxy, debugger-*'), 'debugger-x')).toBe(true);
  expect(isOthers(says('istio-proxy, debugger-*'), 'istio-proxy-2')).toBe(false);
  expect(isOthers(says('*'), 'main')).toBe(false);
  expect(isOthers(says(''), 'main')).toBe(false);
  expect(isOthers(aWorkload({}), 'main')).toBe(false);
  const many = Array.from({ length: 17 }, (_, index) => `c${index}`).join();
  expect([isOthers(says(many), 'c15'), isOthers(says(many), 'c16')]).toEqual([true, false]);
});

it('a digest is what the text of the image names, or what to do is said', () => {
  expect(digestIn(`registry.example.com/shop/edge:1.0@sha256:${HEX}`)).toEqual({ sha256: HEX });
  expect(digestIn('registry.example.com/shop/edge:1.0')).toEqual({
    problem:
      'registry.example.com/shop/edge:1.0 is named by its tag, which can be moved; ' +
      'write registry.example.com/shop/edge@sha256:… with the digest of a published release',
  });
  for (const text of ['', 'edge@sha512:ab', `edge@sha256:${HEX.toUpperCase()}`, 'x'.repeat(600)]) {
    expect(digestIn(text)).toMatchObject({
      problem: expect.stringContaining('no image') as string,
    });
  }
});
