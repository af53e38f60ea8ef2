import { expect, it } from 'vitest';
import { bits, integer, octets, oid, sequence, time } from './der.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

it('lengths are written in the shortest form', () => {
  expect(hex(octets(new Uint8Array(0)))).toBe('0400');
  expect(hex(octets(new Uint8Array(127))).slice(0, 4)).toBe('047f');
  expect(hex(octets(new Uint8Array(128))).slice(0, 6)).toBe('048180');
  expect(hex(octets(new Uint8Array(256))).slice(0, 8)).toBe('04820100');
  expect(hex(octets(new Uint8Array(65_536))).slice(0, 10)).toBe('0483010000');
});

it('names, numbers and bits are as X.690 has them', () => {
  expect(hex(oid('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302');
  expect(hex(oid('2.5.4.3'))).toBe('0603550403');
  expect(hex(sequence(integer(2), bits(Uint8Array.of(0x80), 7)))).toBe('300702010203020780');
});

it('years have two digits until 2049 and four from then on', () => {
  const told = (at: string): string => time(Date.parse(at)).subarray(2).toString('ascii');
  expect(told('2026-11-22T03:04:05.678Z')).toBe('261122030405Z');
  expect(told('2049-12-31T23:59:59Z')).toBe('491231235959Z');
  expect(told('2050-01-01T00:00:00Z')).toBe('20500101000000Z');
});
