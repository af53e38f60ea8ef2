import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { NUMBER_BYTES_MAX, toDistance } from './format.js';
import type { Sizes } from './encode.js';

/**
 * What to write next. `old`: as many bytes of the old content as there are `bytes`, from `from` on,
 * each plus its difference. `literal`: `bytes` as they are.
 */
export type Piece =
  | { readonly kind: 'old'; readonly from: number; readonly bytes: Uint8Array }
  | { readonly kind: 'literal'; readonly bytes: Uint8Array };

type Decoded<T> = Result<T, Refusal<'delta_invalid'>>;
type Field = 'old_size' | 'new_size' | 'differences' | 'literals' | 'distance';

const NEXT_FIELD = {
  old_size: 'new_size',
  new_size: 'differences',
  differences: 'literals',
  literals: 'distance',
  distance: 'differences',
} as const satisfies Record<Field, Field>;

/**
 * Reads the decompressed stream of a delta, in chunks of any size, as what somebody may have made to
 * harm. Keeps some numbers and no bytes, so its memory does not depend on what it reads; pieces are
 * views of the chunk. Every length and place is held against both sizes before a piece is given: no
 * piece lies outside the old content, and all together are never more than the new content. Each
 * instruction makes at least one byte, so the work is bounded too. After a refusal it only repeats it.
 */
export class DeltaDecoder {
  readonly #sizes: Sizes;
  #field: Field = 'old_size';
  /** The number that is being read, and how many of its bytes have come. */
  #number = 0;
  #numberBytes = 0;
  #differences = 0;
  #literals = 0;
  #from = 0;
  #made = 0;
  #refused: string | null = null;

  /** `sizes`: what is known from elsewhere; a delta that says otherwise is refused. */
  constructor(sizes: Sizes) {
    this.#sizes = sizes;
  }

  /** The pieces of this chunk, in order. Write them before the next chunk is pushed. */
  push(chunk: Uint8Array): Decoded<readonly Piece[]> {
    const pieces: Piece[] = [];
    let at = 0;
    while (at < chunk.length && this.#refused === null) {
      if (this.#differences > 0 || this.#literals > 0) {
        at += this.#takeBytes(chunk, at, pieces);
      } else {
        this.#takeNumber(chunk[at] as number);
        at += 1;
      }
    }
    return this.#refused === null ? ok(pieces) : refuse('delta_invalid', this.#refused);
  }

  /** To be called when nothing more comes: refuses a delta that was cut. */
  end(): Decoded<null> {
    if (this.#refused === null && !this.#isWhole) {
      this.#refused = `the delta ends after ${this.#made} of ${this.#sizes.newSize} bytes`;
    }
    return this.#refused === null ? ok(null) : refuse('delta_invalid', this.#refused);
  }

  get #isWhole(): boolean {
    return (
      this.#field === 'differences' &&
      this.#numberBytes === 0 &&
      this.#differences + this.#literals === 0 &&
      this.#made === this.#sizes.newSize
    );
  }

  #takeBytes(chunk: Uint8Array, at: number, pieces: Piece[]): number {
    const isOld = this.#differences > 0;
    const count = Math.min(chunk.length - at, isOld ? this.#differences : this.#literals);
    const bytes = chunk.subarray(at, at + count);
    if (isOld) {
      pieces.push({ kind: 'old', from: this.#from, bytes });
      this.#from += count;
      this.#differences -= count;
    } else {
      pieces.push({ kind: 'literal', bytes });
      this.#literals -= count;
    }
    this.#made += count;
    return count;
  }

  #takeNumber(byte: number): void {
    this.#number += (byte % 0x80) * 2 ** (7 * this.#numberBytes);
    this.#numberBytes += 1;
    if (byte >= 0x80) {
      if (this.#numberBytes === NUMBER_BYTES_MAX) this.#refused = 'a number is too long';
      return;
    }
    // One text for one number.
    if (byte === 0 && this.#numberBytes > 1) this.#refused = 'a number has an empty end';
    else this.#takeField(this.#number);
    this.#number = 0;
    this.#numberBytes = 0;
  }

  #takeField(value: number): void {
    const field = this.#field;
    this.#field = NEXT_FIELD[field];
    if (field === 'old_size' || field === 'new_size') this.#takeSize(field, value);
    else if (field === 'distance') this.#takeInstruction(toDistance(value));
    else this.#takeLength(field, value);
  }

  #takeSize(field: 'old_size' | 'new_size', value: number): void {
    const [name, wanted] =
      field === 'old_size' ? ['from', this.#sizes.oldSize] : ['to', this.#sizes.newSize];
    if (value !== wanted) this.#refused = `the delta leads ${name} ${value} bytes, not ${wanted}`;
  }

  /** Held until the instruction is complete: no byte is taken for it before. */
  #pending = { differences: 0, literals: 0 };

  #takeLength(field: 'differences' | 'literals', value: number): void {
    this.#pending = { ...this.#pending, [field]: value };
  }

  #takeInstruction(distance: number): void {
    const { differences, literals } = this.#pending;
    const { oldSize, newSize } = this.#sizes;
    const from = this.#from + distance;
    if (differences + literals === 0) this.#refused = 'an instruction makes nothing';
    else if (differences + literals > newSize - this.#made) {
      this.#refused = `the delta makes more than ${newSize} bytes`;
    } else if (from < 0 || from > oldSize || differences > oldSize - from) {
      this.#refused = `the delta reads outside the ${oldSize} bytes that it leads from`;
    } else {
      this.#from = from;
      this.#differences = differences;
      this.#literals = literals;
    }
  }
}
