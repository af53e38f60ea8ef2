/**
 * What must not reach a terminal in text from elsewhere: control characters of both sets, ends of lines
 * of Unicode, and marks that turn the direction of what follows.
 */
const STEERS =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Text from elsewhere as it may be shown: on one line, without what would steer a terminal. */
export const plain = (text: string): string => text.replace(STEERS, '\ufffd');

/** The same for text inside JSON or YAML quotes, where nothing may be lost: written as an escape. */
export const escaped = (text: string): string =>
  text.replace(/[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (mark) => {
    return `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });

export const steers = (text: string): boolean => text.search(STEERS) >= 0;

const WIDE =
  /\p{Emoji_Presentation}|\ufe0f|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
const NOTHING = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;
const LEFTWARDS = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;
const SIMPLE = /^[\x20-\x7e]*$/;

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const partsOf = (text: string): string[] =>
  Array.from(graphemes.segment(text), ({ segment }) => segment);

/** Two cells for what is drawn wide, none for marks alone: an emoji of several parts is one. */
const cellsOf = (part: string): number => {
  if (NOTHING.test(part)) return 0;
  return WIDE.test(part) ? 2 : 1;
};

/** Cells of a terminal that a text takes. */
export const width = (text: string): number =>
  SIMPLE.test(text) ? text.length : partsOf(text).reduce((sum, part) => sum + cellsOf(part), 0);

/** A text in so many cells at most; what was cut off is told by `…`. Never in the middle of a sign. */
export function cut(text: string, cells: number): string {
  if (width(text) <= cells) return text;
  let taken = '';
  let left = cells - 1;
  for (const part of partsOf(text)) {
    left -= cellsOf(part);
    if (left < 0) break;
    taken += part;
  }
  return `${taken.trimEnd()}…`;
}

/** Text that runs from right to left must not drag its neighbours along. */
export const isolated = (text: string): string =>
  LEFTWARDS.test(text) ? `\u2068${text}\u2069` : text;
