import { describe, expect, it } from 'vitest';
import type { DeliveryError } from './delivery-error.js';
import { NetworkGuard } from './network-guard.js';

const never = (): AbortSignal => new AbortController().signal;

describe('the guard of addresses', () => {
  const open = new NetworkGuard([]);

  it.each([
    ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255'],
    ...['192.168.1.1', '169.254.169.254', '100.64.0.1', '192.0.0.1', '192.0.2.1', '198.18.0.1'],
    ...['203.0.113.9', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
    ...[
      '::',
      '::1',
      'fe80::1',
      'fc00::1',
      'fd12:3456::1',
      'ff02::1',
      '2001:db8::1',
      '2002:7f00:1::',
    ],
    // IPv4 in the clothes of IPv6.
    ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '64:ff9b::10.0.0.1'],
    ...['64:ff9b::7f00:1', '::7f00:1', '', 'localhost', '127.1', '0x7f000001', '2130706433'],
  ])('does not let sinks reach %s', (address) => {
    expect(open.allows(address)).toBe(false);
  });

  it.each([
    '1.1.1.1',
    '93.184.216.34',
    '172.32.0.1',
    '2606:4700::1111',
    '::ffff:1.1.1.1',
    '64:ff9b::808:808',
  ])('lets sinks reach %s', (address) => {
    expect(open.allows(address)).toBe(true);
  });

  it('lets them reach what was allowed, and nothing beside it', () => {
    const guard = new NetworkGuard(['10.20.0.0/16', '192.168.1.7', 'fd00:1::/32']);
    const allowed = ['10.20.255.1', '192.168.1.7', 'fd00:1:2::3', '::ffff:10.20.0.1', '8.8.8.8'];
    expect(allowed.filter((address) => !guard.allows(address))).toEqual([]);
    const others = ['10.21.0.1', '192.168.1.8', 'fd00:2::1', '127.0.0.1', '::ffff:10.21.0.1'];
    expect(others.filter((address) => guard.allows(address))).toEqual([]);
  });

  it('checks what a name stands for, and hands out the address that it checked', async () => {
    const codeOf = async (guard: NetworkGuard, host: string): Promise<string> =>
      guard.resolve(host, never()).catch((error: unknown) => (error as DeliveryError).failure.code);
    expect(await codeOf(open, 'localhost')).toBe('sink_address_forbidden');
    expect(await codeOf(open, '[::1]')).toBe('sink_address_forbidden');
    expect(['127.0.0.1', '::1']).toContain(
      await codeOf(new NetworkGuard(['127.0.0.0/8', '::1']), 'localhost'),
    );
    expect(await codeOf(open, 'no-such-name.invalid')).toBe('sink_receiver_unreachable');
  });
});
