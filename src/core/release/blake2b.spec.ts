import { describe, expect, it } from 'vitest';
import { blake2b256 } from './blake2b.js';

describe('BLAKE2b-256', () => {
  const counting = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, (_, i) => i & 255));

  // Made with the reference implementation inside another language's standard library.
  it.each([
    [0, '0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8'],
    [1, '03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314'],
    [3, '3d8c3d594928271f44aad7a04b177154806867bcf918e1549c0bc16f9da2b09b'],
    [74, 'ebae0805fd52d3e9f5f29aeb33b6be8cab0f28e668990d3cb95444d9ef90b932'],
    [127, 'f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72'],
    [128, 'c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1'],
    [129, 'f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9'],
    [256, '39a7eb9fedc19aabc83425c6755dd90e6f9d0c804964a1f4aaeea3b9fb599835'],
    [1000, 'c636324d47d89f2b2434dc2c994100663fbbaea880ff020fc5de89dd0f77a1ec'],
  ])('of %i counting bytes is the known one', (length, digest) => {
    expect(blake2b256(counting(length)).toString('hex')).toBe(digest);
  });
});
