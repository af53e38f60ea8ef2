export { facts, table, type Block, type Column, type ColumnKind } from './blocks.js';
export { makeCanvas, type Canvas } from './canvas.js';
export { jsonText, yamlText, type Form } from './forms.js';
export { colourOf, lookOf, painted, type Colour, type Look } from './look.js';
export { render } from './render.js';
export {
  formOf,
  OBJECT_OPTIONS,
  OUTPUT_OPTION,
  ROWS_OPTIONS,
  show,
  showList,
  showOne,
  showRows,
} from './show.js';
export { cut, plain, width } from './text.js';
export { distance, spanInShort } from './times.js';
