export { DeltaDecoder, type Piece } from './decode.js';
export { encodeDelta, hasDeltaMagic, type Sizes } from './encode.js';
export { BROTLI_WINDOW_BITS, DELTA_MAGIC, type Instruction } from './format.js';
export { matchContents } from './match.js';
