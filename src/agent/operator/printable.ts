/** Control characters but the end of a line and the tab, and what turns the direction of a text. */
const UNPRINTABLE = /(?![\n\t])[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** A text that others may have written, as a terminal may show it: no letter of it is a command to it. */
export const printable = (text: string): string =>
  text.replace(UNPRINTABLE, (letter) => `\\x${(letter.codePointAt(0) ?? 0).toString(16)}`);
