import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ANNOTATIONS,
  archOf,
  helmCommand,
  imagePatch,
  isPinned,
  isSameImage,
  keyOf,
  leaseStep,
  mayLead,
  obstacleTo,
  pinnedImage,
  readImage,
  readLabelRules,
  readOptIn,
  topologyOf,
  versionOf,
  type LeaseView,
} from './index.js';
import { aPod, aWorkload, DIGEST, IMAGE } from '../../../test/support/kube/views.js';

describe('an image', () => {
  it.each([
    ['nginx', 'nginx', null, null],
    ['nginx:1.27', 'nginx', '1.27', null],
    ['localhost:5000/edge', 'localhost:5000/edge', null, null],
    ['localhost:5000/team/edge:1.4.0', 'localhost:5000/team/edge', '1.4.0', null],
    [`r.example/edge@${DIGEST}`, 'r.example/edge', null, DIGEST],
    [`r.example:443/edge:1.4.0@${DIGEST}`, 'r.example:443/edge', '1.4.0', DIGEST],
  ])('%s is taken apart', (text, reference, tag, digest) => {
    expect(readImage(text)).toEqual({ reference, tag, digest });
    expect(isPinned(text)).toBe(digest !== null);
  });

  it.each([
    ['nginx:1.27', 'nginx:1.27', true],
    [`r.example/edge:1.4.0@${DIGEST}`, `r.example/edge@${DIGEST}`, true],
    [`mirror.example/edge@${DIGEST}`, `r.example/edge@${DIGEST}`, true],
    ['nginx:1.27', 'nginx:1.28', false],
    ['nginx', `nginx@${DIGEST}`, false],
  ])('%s and %s are the same: %s', (one, other, isSame) => {
    expect([isSameImage(one, other), isSameImage(other, one)]).toEqual([isSame, isSame]);
  });

  it.each(['', ' ', 'a b', 'edge:', 'edge@', `edge@${DIGEST.slice(0, -1)}`, 'edge@md5:00', '@'])(
    '%j is none, and never counts as pinned',
    (text) => {
      expect(readImage(text)).toBeNull();
      expect(isPinned(text)).toBe(false);
    },
  );

  const part = fc.stringMatching(/^[a-z0-9]{1,12}$/);
  const reference = fc
    .tuple(
      part,
      fc.option(fc.integer({ min: 1, max: 65_535 })),
      fc.array(part, { minLength: 1, maxLength: 4 }),
    )
    .map(([host, port, path]) => `${host}${port === null ? '' : `:${port}`}/${path.join('/')}`);
  const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
  const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);

  it('is put together and taken apart without a loss', () => {
    fc.assert(
      fc.property(reference, fc.option(tag), fc.option(digest), (name, version, sum) => {
        const text = `${name}${version === null ? '' : `:${version}`}${sum === null ? '' : `@${sum}`}`;
        expect(readImage(text)).toEqual({ reference: name, tag: version, digest: sum });
        if (sum === null) return;
        const pinned = pinnedImage({ reference: name, digest: sum });
        expect(readImage(pinned)).toEqual({ reference: name, tag: null, digest: sum });
        expect(isPinned(pinned)).toBe(true);
      }),
    );
  });

  it('of any text is read in no time, and pinned only by a whole digest', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 600 }), (text) => {
        if (isPinned(text)) expect(text).toMatch(/@sha256:[0-9a-f]{64}$/);
      }),
    );
    expect(readImage(`${'a/'.repeat(400)}edge`)).toBeNull();
    expect(readImage(`${'a:'.repeat(250)}@`)).toBeNull();
  });
});

describe('the version of an image', () => {
  const known = new Map([[DIGEST.slice(7), '2.0.0']]);
  const labels = { 'app.kubernetes.io/version': '1.9.0' };
  it.each([
    [`edge:1.4.0@${DIGEST}`, labels, { version: '2.0.0', source: 'digest' }],
    ['edge:1.4.0', labels, { version: '1.4.0', source: 'tag' }],
    ['edge:v1.4.0', {}, { version: '1.4.0', source: 'tag' }],
    ['edge:latest', labels, { version: '1.9.0', source: 'label' }],
    ['edge:1.4', {}, null],
    ['edge:latest', {}, null],
    [`edge@sha256:${'0'.repeat(64)}`, {}, null],
  ])('%s', (image, given, found) => {
    expect(versionOf(image, given, known)).toEqual(found);
  });
});

describe('opting in', () => {
  const read = (annotations: Record<string, string>, containers = ['main']) =>
    readOptIn(
      aWorkload({ annotations, containers: containers.map((name) => ({ name, image: IMAGE })) }),
      'operator',
    );
  const product = { [ANNOTATIONS.product]: 'edge' };

  it('takes an annotation, and what it leaves out is the usual', () => {
    expect(read({})).toBeNull();
    expect(read(product)).toEqual({
      ok: true,
      value: {
        ...{ product: 'edge', variant: 'default', container: 'main' },
        ...{ mode: 'operator', isSkipped: false },
      },
    });
    const own = {
      ...product,
      [ANNOTATIONS.container]: 'side',
      [ANNOTATIONS.variant]: 'musl',
      [ANNOTATIONS.mode]: 'gitops',
      [ANNOTATIONS.skip]: 'true',
    };
    expect(read(own, ['main', 'side'])).toMatchObject({
      value: { container: 'side', variant: 'musl', mode: 'gitops', isSkipped: true },
    });
  });

  it.each([
    [{ [ANNOTATIONS.product]: 'Edge!' }, ['main']],
    [{ ...product, [ANNOTATIONS.variant]: '../x' }, ['main']],
    [{ ...product, [ANNOTATIONS.mode]: 'yolo' }, ['main']],
    [{ ...product, [ANNOTATIONS.container]: 'other' }, ['main']],
    [product, ['main', 'side']],
    [product, []],
  ])('is refused where it is not clear: %j in %j', (annotations, containers) => {
    expect(read(annotations, containers)).toMatchObject({
      ok: false,
      error: { code: 'workload_unsupported' },
    });
  });

  it.each([
    [{ isDeleting: true }, /deleted/],
    [{ isPaused: true }, /paused/],
    [{ updateStrategy: 'OnDelete' }, /OnDelete/],
    [{ partition: 1 }, /partition 1/],
    [{ wanted: 0 }, /no pods/],
  ])('%j stands in the way', (seen, why) => {
    expect(obstacleTo(aWorkload(seen))).toMatch(why);
  });

  it('nothing stands in the way of a workload that simply runs', () => {
    expect(obstacleTo(aWorkload({}))).toBeNull();
    expect(keyOf(aWorkload({}))).toBe('shop/deployment/edge');
  });
});

describe('the patch', () => {
  const change = {
    ...{ container: 'main', image: IMAGE, version: '1.1.0', previousImage: 'edge:1.0.0' },
    ...{ resourceVersion: '7', uid: 'uid-1' },
  };

  it('changes one container and two annotations, and only what was looked at', () => {
    expect(imagePatch(change)).toEqual({
      ok: true,
      value: {
        metadata: {
          ...{ uid: 'uid-1', resourceVersion: '7' },
          annotations: {
            [ANNOTATIONS.version]: '1.1.0',
            [ANNOTATIONS.previousImage]: 'edge:1.0.0',
          },
        },
        spec: { template: { spec: { containers: [{ name: 'main', image: IMAGE }] } } },
      },
    });
  });

  it('brings nothing that is named by a tag, and puts back whatever stood there', () => {
    expect(imagePatch({ ...change, image: 'edge:1.1.0' })).toMatchObject({
      error: { code: 'upgrade_image_mutable' },
    });
    const back = { ...change, image: 'edge:1.0.0', version: null, previousImage: null };
    expect(imagePatch(back)).toMatchObject({ ok: true });
  });
});

describe('the lease', () => {
  const lease = (more: Partial<LeaseView> = {}): LeaseView => ({
    ...{ resourceVersion: '1', holder: 'other', renewedAt: '2020-01-01T00:00:00Z' },
    ...{ durationSeconds: 15, transitions: 0 },
    ...more,
  });
  const next = (seen: LeaseView | null, memory: Parameters<typeof leaseStep>[2], nowMs: number) =>
    leaseStep(seen, 'me', memory, nowMs);

  it('is made where there is none, renewed by its holder, taken where it was given up', () => {
    expect(next(null, null, 0).step).toEqual({ do: 'create' });
    expect(next(lease({ holder: 'me' }), null, 0).step).toEqual({ do: 'renew' });
    expect(next(lease({ holder: '' }), null, 0).step).toEqual({ do: 'take' });
  });

  it('of another is taken only after it was seen not to move for its whole length', () => {
    // However old it says it is: that is by the clock of another machine.
    const first = next(lease(), null, 1_000);
    expect(first.step).toEqual({ do: 'wait' });
    expect(next(lease(), first.memory, 15_999).step).toEqual({ do: 'wait' });
    expect(next(lease(), first.memory, 16_000).step).toEqual({ do: 'take' });
    const renewed = next(lease({ resourceVersion: '2' }), first.memory, 16_000);
    expect(renewed.step).toEqual({ do: 'wait' });
    expect(next(lease({ resourceVersion: '2' }), renewed.memory, 30_999).step).toEqual({
      do: 'wait',
    });
  });

  it('ends for its holder before another may take it', () => {
    const limits = { durationMs: 15_000, marginMs: 5_000 };
    expect(mayLead(null, 0, limits)).toBe(false);
    expect(mayLead(0, 9_999, limits)).toBe(true);
    expect(mayLead(0, 10_000, limits)).toBe(false);
  });

  it('never lets two lead at the same time, whatever their clocks say', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(1e9), fc.nat(40_000), (skewA, skewB, lookMs) => {
        const limits = { durationMs: 15_000, marginMs: 5_000 };
        // A renewed at true time 0; B sees it a moment later, and then looks again.
        const seen = leaseStep(lease({ holder: 'a' }), 'b', null, skewB + 1);
        const later = leaseStep(lease({ holder: 'a' }), 'b', seen.memory, skewB + 1 + lookMs);
        const isTaken = later.step.do === 'take';
        const leadsStill = mayLead(skewA, skewA + 1 + lookMs, limits);
        expect(isTaken && leadsStill).toBe(false);
      }),
    );
  });
});

describe('where it runs', () => {
  const machines = new Map([
    ['m1', { zone: 'a', 'kubernetes.io/arch': 'amd64' }],
    ['m2', { zone: 'b', 'kubernetes.io/arch': 'amd64' }],
  ]);
  const rules = [{ from: 'zone', to: 'zone' }];
  const on = (...names: (string | null)[]) => names.map((nodeName) => ({ ...aPod({}), nodeName }));
  const install = { cluster: 'prod-1', install: '0f1e' };
  const labels = (...names: (string | null)[]) =>
    topologyOf(install, aWorkload({}), on(...names), { machines, rules });
  const always = { ...install, namespace: 'shop', kind: 'deployment', workload: 'edge' };

  it('is told by labels; what differs is `several`', () => {
    expect(labels()).toEqual(always);
    expect(labels(null)).toEqual(always);
    expect(labels('m1', 'm1')).toEqual({ ...always, machine: 'm1', zone: 'a' });
    expect(labels('m1', 'm2')).toEqual({ ...always, machine: 'several', zone: 'several' });
    expect(labels('m9')).toEqual({ ...always, machine: 'm9' });
  });

  it('does not count pods that go', () => {
    const pods = [...on('m1'), { ...aPod({}), nodeName: 'm2', isDeleting: true }];
    const found = topologyOf({ ...install, install: null }, aWorkload({}), pods, {
      machines,
      rules,
    });
    expect(found).toMatchObject({ machine: 'm1', zone: 'a' });
    expect(found).not.toHaveProperty('install');
  });

  it('knows the architecture where there is one only', () => {
    const arch = (selector: Record<string, string>, given = machines, pods = on('m1')) =>
      archOf(aWorkload({ nodeSelector: selector }), pods, given);
    expect(arch({})).toBe('x64');
    expect(arch({}, machines, [])).toBeNull();
    expect(arch({ 'kubernetes.io/arch': 'arm64' })).toBe('arm64');
    expect(arch({ 'kubernetes.io/arch': 's390x' })).toBeNull();
    const mixed = new Map([...machines, ['m3', { zone: 'a', 'kubernetes.io/arch': 'arm64' }]]);
    expect(arch({}, mixed)).toBeNull();
    expect(arch({}, new Map())).toBeNull();
  });

  it('takes rules as text, sixteen at most', () => {
    expect(readLabelRules('topology.kubernetes.io/zone=zone, example.com/rack,')).toEqual([
      { from: 'topology.kubernetes.io/zone', to: 'zone' },
      { from: 'example.com/rack', to: 'rack' },
    ]);
    expect(readLabelRules('')).toEqual([]);
    for (const bad of ['=zone', 'a=B', 'a=', 'a/']) expect(readLabelRules(bad)).toBeNull();
    const many = (count: number) => Array.from({ length: count }, (_, i) => `a${i}`).join(',');
    expect(readLabelRules(many(16))).toHaveLength(16);
    expect(readLabelRules(many(17))).toBeNull();
  });
});

describe('the line for helm', () => {
  const to = { version: '1.1.0', digest: DIGEST };
  const line = (annotations: Record<string, string>) =>
    helmCommand({ annotations, namespace: 'shop' }, to);

  it('has all that the workload says of itself', () => {
    const release = { 'meta.helm.sh/release-name': 'edge', [ANNOTATIONS.helmChart]: 'shop/edge' };
    expect(line(release)).toBe(
      `helm upgrade edge shop/edge --namespace shop --reuse-values --set image.tag=1.1.0,image.digest=${DIGEST}`,
    );
    const own = {
      ...release,
      'meta.helm.sh/release-namespace': 'apps',
      [ANNOTATIONS.helmSet]: 'tag={version}',
    };
    expect(line(own)).toBe(
      'helm upgrade edge shop/edge --namespace apps --reuse-values --set tag=1.1.0',
    );
  });

  it('leaves a place for what nobody says', () => {
    expect(line({})).toMatch(/^helm upgrade <release> <chart> --namespace shop /);
  });

  it('is one line, and one command to a shell, whatever an annotation holds', () => {
    const evil = "x; rm -rf / $(id) `id` 'y' \u202e\n& z";
    const made = line({ 'meta.helm.sh/release-name': evil, [ANNOTATIONS.helmChart]: evil });
    expect(made).not.toMatch(/[\n\u202e]/);
    const told = `helm() { printf '%s|' "$@"; }; ${made}`;
    const words = execFileSync('/bin/sh', ['-c', told], { encoding: 'utf8' }).split('|');
    const name = evil.replaceAll(/[\n\u202e]/g, '');
    expect(words.slice(0, 5)).toEqual(['upgrade', name, name, '--namespace', 'shop']);
    expect(line({ [ANNOTATIONS.helmSet]: 'x'.repeat(9_000) })).toHaveLength(2_000);
  });
});
