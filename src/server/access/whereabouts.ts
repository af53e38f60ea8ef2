import { Injectable } from '@nestjs/common';

/** The group that something belongs to; null when there is no such thing, or no group. */
export type GroupOf = (id: string) => Promise<string | null>;

/** What the first part of a path is about: `/api/v1/nodes/:id/…` names a node. */
const ABOUT = /^\/api\/v1\/([a-z]+)\/:id(\/|$)/;

/**
 * In which group the things are that addresses name, so that a refused attempt is shown to the admins of
 * that group. Modules register what they keep.
 */
@Injectable()
export class Whereabouts {
  readonly #known = new Map<string, GroupOf>();

  /** `part` is the first part of the paths, such as `nodes`. */
  use(part: string, groupOf: GroupOf): void {
    this.#known.set(part, groupOf);
  }

  /** For the audit log only. Never rejects: what cannot be looked up belongs to no group. */
  async groupOf(path: string, id: unknown): Promise<string | null> {
    const find = this.#known.get(ABOUT.exec(path)?.[1] ?? '');
    if (find === undefined || typeof id !== 'string') return null;
    return find(id).catch(() => null);
  }
}
