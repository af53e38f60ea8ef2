import { brotliCompressSync, constants } from 'node:zlib';
import {
  DELTA_MAGIC,
  encodeDelta,
  matchContents,
  type Instruction,
} from '../../../src/core/delta/index.js';

/** A delta file of exactly these bytes behind its magic. */
export const deltaFileOf = (stream: Uint8Array): Buffer =>
  Buffer.concat([
    DELTA_MAGIC,
    brotliCompressSync(stream, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  ]);

/** The stream of a delta before compression; of other instructions than the best, when given. */
export const deltaStream = (
  old: Uint8Array,
  next: Uint8Array,
  instructions: Iterable<Instruction> = matchContents(old, next),
): Buffer =>
  Buffer.concat([...encodeDelta({ oldSize: old.length, newSize: next.length }, instructions)]);

/** A delta file from one content to another. */
export const makeDelta = (old: Uint8Array, next: Uint8Array): Buffer =>
  deltaFileOf(deltaStream(old, next));
