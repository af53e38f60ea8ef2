import { FleetError } from '../../core/kernel/index.js';
import type { NodePolicy } from '../../core/release/index.js';
import { problemWithUrl } from '../safe-url.js';

/** What the local policy says about the way of releases to this node. */
export type Delivery = Pick<NodePolicy, 'sources' | 'source_order' | 'allowed_hosts'>;

/** What holds where no policy can be read. */
export const MANAGER_ONLY: Delivery = {
  sources: [],
  source_order: 'manager_first',
  allowed_hosts: [],
};

export const refused = (message: string): FleetError =>
  new FleetError('upgrade_url_invalid', message);

/**
 * Where a node may fetch from, by its own policy. Everything here is told by the policy and the
 * configuration; a command can only choose among it.
 */
export class Sources {
  readonly #manager: string;
  readonly #delivery: Delivery;
  readonly #allowPlaintext: boolean;

  /** `manager` is its origin. */
  constructor(manager: string, delivery: Delivery, allowPlaintext: boolean) {
    this.#manager = manager;
    this.#delivery = delivery;
    this.#allowPlaintext = allowPlaintext;
  }

  /**
   * Base addresses in the order in which they are asked: those of the command in its order, or else
   * the manager and all sources of the policy in the order of the policy. One address that is not
   * allowed refuses all: a command that names it is not from a friend.
   */
  bases(named: readonly string[]): readonly string[] {
    const { sources, source_order } = this.#delivery;
    if (named.length > 0) return named.map((source) => this.#base(source));
    const others = sources.map((source) => this.#base(source));
    const all =
      source_order === 'manager_first' ? [this.#manager, ...others] : [...others, this.#manager];
    return [...new Set(all)];
  }

  /** Whether an address that a manifest names may be fetched. */
  allows(url: string): boolean {
    return this.#problemWith(url) === null;
  }

  /** Throws unless a redirect may be followed: to https on a host that the policy knows. */
  checkRedirect(from: string, to: string): void {
    const problem = this.#problemWith(to);
    if (problem !== null) throw refused(`${from} redirects, and ${problem}`);
  }

  #problemWith(url: string): string | null {
    if (!URL.canParse(url)) return 'not to an address';
    const { protocol, host, username, password } = new URL(url);
    if (protocol !== 'https:') return `${host} is not asked by https`;
    if (username !== '' || password !== '') return 'an address must not hold a name or a password';
    const { allowed_hosts, sources } = this.#delivery;
    const known = [this.#manager, ...sources].map((source) => new URL(source).host);
    if (allowed_hosts.includes(host) || known.includes(host)) return null;
    return `${host} is not a host of the local policy`;
  }

  #base(source: string): string {
    const problem = problemWithUrl(source, this.#allowPlaintext);
    if (problem !== null) throw refused(problem);
    const { origin, pathname, search, hash } = new URL(source);
    const allowed = [this.#manager, ...this.#delivery.sources.map((one) => new URL(one).origin)];
    if (!allowed.includes(origin)) throw refused(`${origin} is not a source of the local policy`);
    if (search !== '' || hash !== '') throw refused(`${source}: a base address has no query`);
    // The manager has one tree only; a path here would be a way around its routes.
    return origin === this.#manager ? origin : `${origin}${pathname.replace(/\/+$/, '')}`;
  }
}
