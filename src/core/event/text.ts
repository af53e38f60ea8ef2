/** What would end a line, steer a terminal or turn the direction of a text around. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u2028\u2029]/g;
const CONTROL = /[\u0000-\u001f\u007f]/g;
const UNSEEN = /[\u0080-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const DELETE = 0x7f;
/** U+2400 and those behind it are pictures of the control characters, U+2421 that of DELETE. */
const PICTURES = 0x2400;
const PICTURE_OF_DELETE = 0x2421;

const picture = (character: string): string => {
  const code = character.charCodeAt(0);
  return String.fromCharCode(code === DELETE ? PICTURE_OF_DELETE : PICTURES + code);
};

/**
 * JSON on one line that also readers who split at odd places take as one line: controls, and the line
 * separators of Unicode, are escaped; half characters become U+FFFD.
 */
export const jsonLine = (value: unknown): string =>
  JSON.stringify(value)
    // Half characters are all that JSON.stringify writes so; `\\` is stepped over as one.
    .replace(/\\(\\|ud[89a-f][0-9a-f]{2})/g, (all: string) => (all === '\\\\' ? all : '\\ufffd'))
    .replace(
      UNSAFE_IN_JSON,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );

/** Text for forms that have no escape for control characters: their pictures stand for them. */
export const visible = (text: string): string =>
  text.toWellFormed().replace(CONTROL, picture).replace(UNSEEN, '\ufffd');

/** The same, but line ends stay: the form has an escape for them. */
export const visibleLines = (text: string): string =>
  text
    .split(/([\r\n])/)
    .map((part) => (part === '\n' || part === '\r' ? part : visible(part)))
    .join('');

/** At most so many characters, never half of one. */
export const cut = (text: string, max: number): string =>
  text.length <= max
    ? text
    : text
        .slice(0, max)
        .toWellFormed()
        .replace(/\ufffd$/, '');
