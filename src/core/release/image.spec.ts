import { describe, expect, it } from 'vitest';
import { areOneEach, Image, imageDigestsOf, imageFor, PlatformImage } from './image.js';

const digest = (mark: string): string => `sha256:${mark.repeat(64)}`;
const reference = 'registry.example.com:5000/shop/edge';
const image = (mark: string) => ({ reference, digest: digest(mark) });
const built = (mark: string, variant: string, arch?: 'x64' | 'arm64'): PlatformImage => ({
  ...image(mark),
  variant,
  ...(arch === undefined ? {} : { arch }),
});

describe('the image that a release has for a workload', () => {
  const release = {
    image: image('a'),
    images: [
      built('b', 'default', 'x64'),
      built('c', 'musl'),
      built('d', 'musl', 'arm64'),
      built('e', 'only-arm', 'arm64'),
    ],
  };

  it.each([
    ['x64', 'default', 'b'],
    ['arm64', 'default', 'a'],
    [null, 'default', 'a'],
    ['x64', 'musl', 'c'],
    ['arm64', 'musl', 'd'],
    [null, 'musl', 'c'],
    ['arm64', 'only-arm', 'e'],
    ['x64', 'only-arm', null],
    // Its pods may run anywhere: an image for one architecture will not do.
    [null, 'only-arm', null],
    ['x64', 'unknown', null],
  ])('on %s of variant %s is %s', (arch, variant, mark) => {
    const found = imageFor(release, { arch, variant });
    expect(found).toEqual(mark === null ? undefined : image(mark));
  });

  it('is none where the release has none', () => {
    expect(imageFor({}, { arch: 'x64', variant: 'default' })).toBeUndefined();
    expect(imageDigestsOf({})).toEqual([]);
  });

  it('has each digest once', () => {
    const twice = { image: image('a'), images: [built('a', 'musl'), built('b', 'musl', 'x64')] };
    expect(imageDigestsOf(twice)).toEqual([digest('a'), digest('b')]);
  });

  it('is one for each variant and architecture', () => {
    expect(areOneEach([built('a', 'musl'), built('b', 'musl', 'x64')])).toBe(true);
    expect(areOneEach([built('a', 'musl'), built('b', 'musl')])).toBe(false);
    expect(areOneEach([built('a', 'musl', 'x64'), built('b', 'musl', 'x64')])).toBe(false);
  });
});

describe('an image in a manifest', () => {
  it.each([
    ['with a port', image('a'), true],
    ['with a tag', { ...image('a'), reference: `${reference}:1.0` }, false],
    [
      'with a digest in its name',
      { ...image('a'), reference: `${reference}@${digest('a')}` },
      false,
    ],
    ['without a registry', { ...image('a'), reference: 'edge' }, false],
    ['with a scheme', { ...image('a'), reference: `https://${reference}` }, false],
    ['with a way up', { ...image('a'), reference: 'registry.example.com/../edge' }, false],
    ['in upper case', { ...image('a'), reference: 'registry.example.com/Edge' }, false],
    ['with a short digest', { reference, digest: 'sha256:abc' }, false],
    ['with another digest', { reference, digest: `sha512:${'a'.repeat(64)}` }, false],
    ['with a field too many', { ...image('a'), tag: '1.0' }, false],
  ])('%s', (_, given, isGood) => {
    expect(Image.safeParse(given).success).toBe(isGood);
    expect(PlatformImage.safeParse({ ...given, variant: 'default' }).success).toBe(isGood);
  });

  it('with a name made to be slow is refused at once', () => {
    expect(Image.safeParse({ ...image('a'), reference: `r/${'a-'.repeat(5_000)}!` }).success).toBe(
      false,
    );
    expect(Image.safeParse({ ...image('a'), reference: `r/${'a_'.repeat(120)}!` }).success).toBe(
      false,
    );
  });
});
