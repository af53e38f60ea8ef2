import { Injectable } from '@nestjs/common';
import { lt } from 'semver';
import { FleetError } from '../../core/kernel/index.js';
import type { Node } from '../../protocol/api/index.js';
import type { ServiceReport } from '../../protocol/node/index.js';
import { Database } from '../platform/database/index.js';
import { installedOf, type Installed } from './node-facts.js';

/** What a product is behind of; told by whoever knows what is published. */
export type SupportOfVersions = (versions: readonly Installed[]) => Promise<Node['support']>;

export interface SoftwareWish {
  readonly product?: string | undefined;
  readonly version?: string | undefined;
  /** Older than this. */
  readonly below?: string | undefined;
  /** Older than the newest that its channel has; false: none of it is. */
  readonly outdated?: boolean | undefined;
}

/** How versions stand to what is published. */
export interface Standing {
  /** As `product version`, those that are behind the newest of their channel. */
  readonly old: ReadonlySet<string>;
  /** By product, the newest that a channel of one of these versions sees. */
  readonly newest: ReadonlyMap<string, string>;
}

/** Mixes of versions in one fleet. A real one has tens; each is one parameter of a statement. */
const MIXES_MAX = 8_000;
/** Kept in memory; a mark never stands for anything else. */
const KNOWN_MAX = 20_000;

/** Which mixes of versions the nodes run: few, however many nodes there are. */
@Injectable()
export class SoftwareBook {
  readonly #known = new Map<string, readonly Installed[]>();
  #supportOf: SupportOfVersions = async () => [];

  constructor(private readonly database: Database) {}

  useSupport(supportOf: SupportOfVersions): void {
    this.#supportOf = supportOf;
  }

  /** What stands behind these marks; one that no node has any more is left out. */
  async read(marks: readonly string[]): Promise<ReadonlyMap<string, readonly Installed[]>> {
    const mixes = new Map<string, readonly Installed[]>();
    for (const mark of marks) {
      const mix = mark === '' ? [] : (this.#known.get(mark) ?? (await this.#load(mark)));
      if (mix !== null) mixes.set(mark, mix);
    }
    return mixes;
  }

  /** The marks of every mix that fits; null when nothing is wished. Throws `invalid_request`. */
  async fitting(wish: SoftwareWish): Promise<readonly string[] | null> {
    if (Object.values(wish).every((value) => value === undefined)) return null;
    const mixes = await this.read(await this.#marks());
    const versions = installedOf([...mixes.values()].flat());
    const old =
      wish.outdated === undefined ? new Set<string>() : (await this.standing(versions)).old;
    const fits = (one: Installed): boolean => isWished(one, wish);
    return [...mixes].flatMap(([mark, mix]) => {
      const meant = mix.filter(fits);
      const hasOld = meant.some((one) => old.has(textOf(one)));
      const isRight = wish.outdated === undefined || hasOld === wish.outdated;
      return isRight && (meant.length > 0 || isOnlyAboutAge(wish)) ? [mark] : [];
    });
  }

  async standing(versions: readonly Installed[]): Promise<Standing> {
    const old = new Set<string>();
    const newest = new Map<string, string>();
    for (const one of await this.#supportOf(versions)) {
      if (one.newest === null) continue;
      if (one.version !== null && lt(one.version, one.newest)) old.add(textOf(one));
      const before = newest.get(one.product);
      if (before === undefined || !lt(one.newest, before)) newest.set(one.product, one.newest);
    }
    return { old, newest };
  }

  /** From one to the next by the index, never over all nodes. */
  async #marks(): Promise<string[]> {
    const rows = await this.database.read.all<{ mark: string }>(
      `WITH RECURSIVE step (mark) AS (
         SELECT MIN(software) FROM nodes
         UNION ALL
         SELECT (SELECT MIN(software) FROM nodes WHERE software > step.mark)
         FROM step WHERE step.mark IS NOT NULL
       ) SELECT mark FROM step WHERE mark IS NOT NULL LIMIT ?`,
      [MIXES_MAX + 1],
    );
    if (rows.length > MIXES_MAX) {
      const message = `these nodes run more than ${MIXES_MAX} mixes of versions; leave this filter out`;
      throw new FleetError('invalid_request', message, {
        context: { problems: [{ path: 'query.version', message }] },
      });
    }
    return rows.map(({ mark }) => mark);
  }

  async #load(mark: string): Promise<readonly Installed[] | null> {
    const row = await this.database.read.get<{ services: string }>(
      'SELECT services FROM nodes WHERE software = ? LIMIT 1',
      [mark],
    );
    if (row === undefined) return null;
    const mix = installedOf(JSON.parse(row.services) as ServiceReport[]);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(mark, mix);
    return mix;
  }
}

export const textOf = ({ product, version }: Installed): string => `${product} ${version ?? ''}`;

const isWished = ({ product, version }: Installed, wish: SoftwareWish): boolean =>
  (wish.product === undefined || wish.product === product) &&
  (wish.version === undefined || wish.version === version) &&
  (wish.below === undefined || (version !== null && lt(version, wish.below)));

/** `outdated=false` alone also means nodes that run nothing. */
const isOnlyAboutAge = ({ product, version, below, outdated }: SoftwareWish): boolean =>
  outdated === false && product === undefined && version === undefined && below === undefined;
