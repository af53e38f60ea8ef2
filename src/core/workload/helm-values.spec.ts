import { expect, it } from 'vitest';
import { IMAGE, DIGEST } from '../../../test/support/kube/views.js';
import { helmValues } from './helm-values.js';

const says = (set?: string): { annotations: Record<string, string> } => ({
  annotations: set === undefined ? {} : { 'bellwether.dev/helm-set': set },
});
const read = (set: string | undefined, image = IMAGE, version: string | null = '1.1.0') => {
  const values = helmValues(says(set), { image, version });
  return values.ok
    ? Object.fromEntries(values.value.map(({ path, value }) => [path.join(' > '), value]))
    : values.error.code;
};

it('values stand where the annotation says, or where most charts have them', () => {
  expect(read(undefined)).toEqual({ 'image > tag': '1.1.0', 'image > digest': DIGEST });
  expect(read('web.image={image}, web.repo={repository},app\\.io/version=v{version}')).toEqual({
    'web > image': IMAGE,
    'web > repo': 'registry.example.com/shop/edge',
    'app.io/version': 'v1.1.0',
  });
  expect(read('a=x\\,y={z}')).toEqual({ a: 'x,y={z}' });
});

it('an image by tag is gone back to by its tag, and no digest stays behind', () => {
  const old = 'registry.example.com/shop/edge:1.0.0';
  expect(read(undefined, old, null)).toEqual({ 'image > tag': '1.0.0', 'image > digest': '' });
  expect(read(undefined, IMAGE, null)).toEqual({ 'image > tag': '', 'image > digest': DIGEST });
});

it('what is no path of values is refused', () => {
  const many = Array.from({ length: 17 }, (_, index) => `k${index}=x`).join();
  const deep = `${Array.from({ length: 17 }, () => 'k').join('.')}=x`;
  for (const set of ['', '=x', 'image', 'a..b=x', 'list[0].image=x', 'a b=x', many, deep]) {
    expect([set, read(set)]).toEqual([set, 'workload_unsupported']);
  }
});
