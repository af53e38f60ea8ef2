import { BlockList, isIP } from 'node:net';

/** More hops than anybody has; whoever writes more is not read further. */
const HOPS_MAX = 32;
const PREFIX_MAX = { 4: 32, 6: 128 } as const;

/** Peers whose `X-Forwarded-For` is believed. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** `ranges` as the configuration has them: checked, each an address or a CIDR range. */
  constructor(ranges: readonly string[]) {
    this.#isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      const family = isIP(address);
      const type = family === 6 ? 'ipv6' : 'ipv4';
      this.#list.addSubnet(address, Number(prefix ?? PREFIX_MAX[family === 6 ? 6 : 4]), type);
    }
  }

  /**
   * Where a request came from: the peer itself, unless it is a trusted proxy; then what that one wrote,
   * and so on from right to left, until an address that is not trusted. What stands to the left of it
   * could have been written by anybody. An address that is none ends the search before it.
   */
  addressOf(peer: string | undefined, forwardedFor: string | string[] | undefined): string {
    let address = plain(peer ?? '');
    if (this.#isEmpty || forwardedFor === undefined) return address;
    const hops = [forwardedFor].flat().join(',').split(',').slice(-HOPS_MAX);
    while (this.#trusts(address)) {
      const next = plain((hops.pop() ?? '').trim());
      if (isIP(next) === 0) break;
      address = next;
    }
    return address;
  }

  #trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** Without the form that an IPv4 peer has on a socket of both kinds, and without a zone. */
const plain = (address: string): string =>
  address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '').replace(/%.*$/, '');

/** An IPv6 subscriber has at least a /64 of addresses: they are one. */
export function networkOf(ip: string): string {
  const address = ip.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('::');
  const left = head.split(':').filter((part) => part !== '');
  const right = (tail ?? '').split(':').filter((part) => part !== '');
  const missing = tail === undefined ? 0 : 8 - left.length - right.length;
  const parts = [...left, ...Array<string>(Math.max(0, missing)).fill('0'), ...right];
  return parts
    .slice(0, 4)
    .map((part) => Number.parseInt(part, 16).toString(16))
    .join(':');
}
