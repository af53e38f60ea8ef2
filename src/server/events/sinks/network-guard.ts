import { lookup } from 'node:dns/promises';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { DeliveryError } from './delivery-error.js';

/**
 * What is not public, from the registries of special addresses (RFC 6890 and those that followed). A
 * metadata service of a cloud is at one of them.
 */
const NOT_PUBLIC_V4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const;
/** Of IPv6 only this is handed out to the public; inside it are ways that wrap IPv4. */
const PUBLIC_V6 = ['2000::', 3] as const;
const NOT_PUBLIC_V6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;
/** RFC 6052: the last 32 bits are an IPv4 address that is reached through it. */
const NAT64 = ['64:ff9b::', 96] as const;

const block = (ranges: readonly (readonly [string, number])[], family: 'ipv4' | 'ipv6') => {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, family);
  return list;
};
const NOT_PUBLIC_V4_LIST = block(NOT_PUBLIC_V4, 'ipv4');
const PUBLIC_V6_LIST = block([PUBLIC_V6], 'ipv6');
const NOT_PUBLIC_V6_LIST = block(NOT_PUBLIC_V6, 'ipv6');
const NAT64_LIST = block([NAT64], 'ipv6');
const MAPPED_LIST = block([['::ffff:0:0', 96]], 'ipv6');

/** The IPv4 address inside an IPv6 address, when it stands for one. */
function insideOf(address: string): string | null {
  if (!MAPPED_LIST.check(address, 'ipv6') && !NAT64_LIST.check(address, 'ipv6')) return null;
  // The URL parser writes every IPv6 address in one form, the last 32 bits as two hex groups.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const groups = text.split(':');
  const [high, low] = [groups.at(-2) ?? '0', groups.at(-1) ?? '0'].map((group) =>
    Number.parseInt(group === '' ? '0' : group, 16),
  );
  const bytes = [(high ?? 0) >> 8, (high ?? 0) & 255, (low ?? 0) >> 8, (low ?? 0) & 255];
  return bytes.join('.');
}

/**
 * Which addresses sinks may reach. A name is resolved here, each of its addresses is checked, and the
 * connection goes to the address that was checked: a name that changes its mind in between changes
 * nothing.
 */
export class NetworkGuard {
  readonly #allowed = new BlockList();

  /** `ranges`: addresses and CIDR ranges that are allowed though they are not public. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      const family = isIPv6(address) ? 'ipv6' : 'ipv4';
      if (prefix === undefined) this.#allowed.addAddress(address, family);
      else this.#allowed.addSubnet(address, Number(prefix), family);
    }
  }

  allows(address: string): boolean {
    const family = isIP(address);
    if (family === 0) return false;
    if (family === 4) {
      return this.#allowed.check(address, 'ipv4') || !NOT_PUBLIC_V4_LIST.check(address, 'ipv4');
    }
    const inside = insideOf(address);
    if (inside !== null) return this.allows(inside);
    if (this.#allowed.check(address, 'ipv6')) return true;
    return PUBLIC_V6_LIST.check(address, 'ipv6') && !NOT_PUBLIC_V6_LIST.check(address, 'ipv6');
  }

  /**
   * The address to connect to. Throws DeliveryError: `sink_address_forbidden` when any of the addresses is
   * not allowed (a name with one good and one bad address is no accident), `sink_receiver_unreachable` when
   * there is none.
   */
  async resolve(host: string, signal: AbortSignal): Promise<string> {
    const name = host.replace(/^\[|\]$/g, '');
    const addresses = isIP(name) !== 0 ? [name] : await resolveName(name, signal);
    const bad = addresses.find((address) => !this.allows(address));
    if (bad !== undefined) {
      throw new DeliveryError(
        'sink_address_forbidden',
        `${name} is at ${bad}, where sinks may not reach`,
      );
    }
    const [first] = addresses;
    if (first === undefined) {
      throw new DeliveryError('sink_receiver_unreachable', `${name} has no address`);
    }
    return first;
  }
}

async function resolveName(name: string, signal: AbortSignal): Promise<string[]> {
  const { promise: given, reject } = Promise.withResolvers<never>();
  const giveUp = (): void => {
    reject(new DeliveryError('sink_receiver_timeout', `${name} could not be resolved in time`));
  };
  signal.addEventListener('abort', giveUp, { once: true });
  given.catch(() => undefined);
  try {
    const found = await Promise.race([lookup(name, { all: true }), given]);
    return found.map(({ address }) => address);
  } catch (error) {
    if (error instanceof DeliveryError) throw error;
    throw new DeliveryError('sink_receiver_unreachable', `${name} cannot be resolved`);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
