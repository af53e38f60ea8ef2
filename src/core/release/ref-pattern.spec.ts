import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesRef, RefPattern } from './ref-pattern.js';

describe('a ref pattern', () => {
  it.each([
    ['refs/heads/main', 'refs/heads/main', true],
    ['refs/heads/main', 'refs/heads/main2', false],
    ['refs/heads/main', 'xrefs/heads/main', false],
    ['refs/heads/main', 'refs/heads/Main', false],
    ['refs/tags/v*', 'refs/tags/v1.6.0', true],
    ['refs/tags/v*', 'refs/tags/v', true],
    ['refs/tags/v*', 'refs/tags/v1/evil', false],
    ['refs/tags/v*', 'refs/heads/v1.6.0', false],
    ['refs/tags/v1.*', 'refs/tags/v1x6', false],
    ['refs/tags/v1.*', 'refs/tags/v10.0', false],
    ['refs/tags/v*-lts', 'refs/tags/v1.6.0-lts', true],
    ['refs/tags/v*-lts', 'refs/tags/v1-lts-lts', true],
    ['refs/tags/v*-lts', 'refs/tags/v1.6.0-lts.1', false],
    ['refs/heads/release/*', 'refs/heads/release/1.6', true],
    ['refs/heads/*/a', 'refs/heads/b/c/a', false],
    ['refs/tags/v*', '', false],
  ])('%s and %s: %s', (pattern, ref, fits) => {
    expect(RefPattern.safeParse(pattern).success).toBe(true);
    expect(matchesRef(pattern, ref)).toBe(fits);
  });

  it.each([
    ['*'],
    ['**'],
    ['refs/*'],
    ['refs/*/v1'],
    ['refs/tags/**'],
    ['refs/tags/'],
    ['refs/tags/v.*|x'],
    ['refs/tags/v[0-9]'],
    ['refs/tags/v?'],
    ['^refs/tags/v1$'],
    ['refs/tags/{a,b}'],
    ['refs/tags/a..b'],
    ['refs/tags/a//b'],
    ['refs/tags/a b'],
    ['refs/pull/1/merge'],
    ['main'],
    [''],
    ['refs/tags/*a*b*c*d*e'],
    [`refs/tags/${'v'.repeat(300)}`],
  ])('is refused when it is %s', (pattern) => {
    expect(RefPattern.safeParse(pattern).success).toBe(false);
  });

  it('means what the obvious regular expression means', () => {
    const part = fc.stringMatching(/^[ab.*-]{1,6}$/).filter((text) => !/\*\*|\.\./.test(text));
    const ref = fc.stringMatching(/^[ab./-]{0,12}$/);
    fc.assert(
      fc.property(part, ref, (tail, end) => {
        const source = tail.replaceAll('.', '[.]').replaceAll('*', '[^/]*');
        const wanted = new RegExp(`^refs/tags/${source}$`).test(`refs/tags/${end}`);
        expect(matchesRef(`refs/tags/${tail}`, `refs/tags/${end}`)).toBe(wanted);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is never slow', () => {
    const started = performance.now();
    expect(matchesRef('refs/tags/*a*a*a*b', `refs/tags/${'a'.repeat(8_000)}`)).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
