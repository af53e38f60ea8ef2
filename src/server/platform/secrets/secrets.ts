import { FleetError, invariant } from '../../../core/kernel/index.js';
import type { Tx } from '../database/index.js';
import { beginningOf, keyIdOf, openText, sealText } from './envelope.js';
import type { MasterKey } from './master-key.js';

/** Longer ones are no credentials. */
const TEXT_BYTES_MAX = 64 * 1_024;
const WRAPPED_LETTERS_MAX = 1024 * 1_024;
const PURPOSE = /^[a-z][a-z0-9-]{0,63}$/;

/** Where the sealed texts of one purpose lie. */
export interface SealedPlaces {
  /**
   * Seals up to `limit` texts anew that lie under another key than the newest, and tells how many; 0
   * when none is left. A text that changed meanwhile is left as it is. May run again at any time.
   */
  reseal(tx: Tx, limit: number): Promise<number>;
}

/**
 * Secrets that must be read back: sealed at rest under the master key, which lies neither in the
 * database nor, when the operator gives one, in the data directory. What only has to be recognized (passwords,
 * tokens, codes) is hashed and has no business here.
 */
export class Secrets {
  readonly #current: MasterKey;
  readonly #keys: ReadonlyMap<string, MasterKey>;
  readonly #places = new Map<string, SealedPlaces>();

  constructor(current: MasterKey, old: readonly MasterKey[] = []) {
    this.#current = current;
    this.#keys = new Map([...old, current].map((one) => [one.id, one]));
  }

  /** The key that seals from now on. */
  get keyId(): string {
    return this.#current.id;
  }

  /** How every text begins that lies under the newest key. */
  get beginning(): string {
    return beginningOf(this.#current.id);
  }

  /** Each purpose with the places of its texts. */
  get places(): ReadonlyMap<string, SealedPlaces> {
    return this.#places;
  }

  /**
   * Says where the texts of a purpose lie. It comes before the first `seal`: a change of keys then cannot
   * forget any of them.
   */
  keep(purpose: string, places: SealedPlaces): void {
    invariant(PURPOSE.test(purpose), 'a purpose is a word');
    this.#places.set(purpose, places);
  }

  /** Seals up to 64 KiB for one place; each time another text. `id` must stay what it is. */
  seal(purpose: string, id: string, text: string): string {
    invariant(this.#places.has(purpose), `nobody keeps sealed texts of ${purpose}`);
    if (Buffer.byteLength(text) > TEXT_BYTES_MAX) {
      throw new FleetError('payload_too_large', `a secret has ${TEXT_BYTES_MAX} bytes at most`);
    }
    return sealText(this.#current, { purpose, id }, text);
  }

  /**
   * Throws `secret_unreadable` when it was sealed under a key that was not given, for another place, or
   * was changed. Nothing of it is in the error.
   */
  open(purpose: string, id: string, sealed: string): string {
    const keyId = keyIdOf(sealed);
    const key = keyId === null ? undefined : this.#keys.get(keyId);
    try {
      if (key === undefined) throw new Error('no such key');
      return openText(key, { purpose, id }, sealed);
    } catch (cause) {
      throw new FleetError(
        'secret_unreadable',
        `a secret (${purpose}) cannot be opened: ${whyNot(keyId, key !== undefined)}`,
        { kind: 'operational', cause },
      );
    }
  }

  /**
   * Seals up to 1 MiB for the way to another manager: nobody keeps it, so it need not be found when keys change. What
   * is in `about` is bound in.
   */
  wrap(purpose: string, about: string, text: string): string {
    invariant(PURPOSE.test(purpose), 'a purpose is a word');
    invariant(text.length <= WRAPPED_LETTERS_MAX, 'this is too much to be wrapped');
    return sealText(this.#current, { purpose: `way-${purpose}`, id: about }, text);
  }

  /** Null: no manager with a key of ours wrapped it for this. */
  unwrap(purpose: string, about: string, sealed: string): string | null {
    const key = this.#keys.get(keyIdOf(sealed) ?? '');
    if (key === undefined) return null;
    try {
      return openText(key, { purpose: `way-${purpose}`, id: about }, sealed);
    } catch {
      return null;
    }
  }

  isCurrent(sealed: string): boolean {
    return sealed.startsWith(this.beginning);
  }

  /** The same secret under the newest key. Throws as `open` does. */
  reseal(purpose: string, id: string, sealed: string): string {
    return this.seal(purpose, id, this.open(purpose, id, sealed));
  }
}

function whyNot(keyId: string | null, isKnown: boolean): string {
  if (keyId === null) return 'what is stored is no sealed text';
  return isKnown ? 'it was changed or moved' : `the key ${keyId} is missing`;
}
