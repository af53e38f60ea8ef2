import { err, ok, type Refusal, type Result } from '../kernel/index.js';

/** NIST SP 800-63B-4 asks for 15 without a second factor and 8 with one; we ask everybody for this. */
export const PASSWORD_LENGTH_MIN = 12;
/** Long enough for any sentence; what is longer only costs time. NIST asks for at least 64. */
export const PASSWORD_LENGTH_MAX = 256;

/** What is left of the passwords that everybody takes once digits and signs around them are gone. */
const COMMON = new Set(
  (
    'password passwort passw0rd pass passphrase qwerty qwertyuiop qwertz qwertzuiop azerty asdfgh ' +
    'asdfghjkl zxcvbn zxcvbnm qazwsx qazwsxedc iloveyou letmein welcome willkommen monkey dragon ' +
    'football baseball basketball superman batman sunshine princess master shadow michael jordan ' +
    'jennifer hunter trustno trustnoone starwars whatever computer internet freedom charlie ' +
    'summer winter spring autumn january february december november october september hello ' +
    'hallo admin administrator root toor changeme changeit default secret secure security guest ' +
    'test tester testing login user username server manager system service company access ' +
    'bellwether correcthorsebatterystaple abc abcd abcdef mypassword newpassword temporary temp ' +
    'lovely flower ashley nicole daniel jessica michelle liverpool chelsea arsenal pokemon naruto ' +
    'minecraft google facebook linkedin samsung killer matrix cheese chocolate butterfly'
  ).split(' '),
);

const LEET: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** Runs of neighbours, on the keyboard and in the alphabet. */
const ROWS = [
  'abcdefghijklmnopqrstuvwxyz',
  '01234567890123456789',
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
];
const ROWS_BOTH_WAYS = ROWS.flatMap((row) => [row, Array.from(row).reverse().join('')]);
const DISTINCT_MIN = 5;
/** Parts of the own name that are shorter say nothing. */
const NAME_PART_MIN = 3;
/** So much must be left of a password without what anybody would guess. */
const REST_MIN = 8;

/** Both spellings of one text are one password (RFC 8265 takes NFC; NFKC also joins full-width ones). */
export const normalPassword = (text: string): string => text.normalize('NFKC');

/**
 * Whether a password may be chosen. `names` are what the person is called. The message says what is
 * wrong and never repeats anything of the password.
 */
export function judgePassword(
  text: string,
  names: readonly string[],
): Result<string, Refusal<'password_weak'>> {
  const password = normalPassword(text);
  const problem = problemOf(password, names);
  return problem === null ? ok(password) : err({ code: 'password_weak', message: problem });
}

function problemOf(password: string, names: readonly string[]): string | null {
  const length = Array.from(password).length;
  if (length < PASSWORD_LENGTH_MIN) return `take ${PASSWORD_LENGTH_MIN} characters or more`;
  if (length > PASSWORD_LENGTH_MAX) return `take ${PASSWORD_LENGTH_MAX} characters or less`;
  const small = password.toLowerCase();
  if (new Set(small).size < DISTINCT_MIN) return 'too few different characters';
  const bare = small.replace(/[^\p{L}\p{N}]/gu, '');
  if (isRun(bare) || isRepeated(small)) return 'a sequence or repetition is guessed first';
  if (isCommon(small)) return 'it is among the first that anybody tries';
  if (leftWithout(small, names) < REST_MIN) return 'it is little more than your name';
  return null;
}

/** `123456789012`, `qwertyuiopas`, `abcdefabcdef` and the like: pieces of rows, one after another. */
function isRun(text: string): boolean {
  let pieces = 0;
  for (let at = 0; at < text.length; pieces += 1) {
    let length = 1;
    while (
      at + length < text.length &&
      ROWS_BOTH_WAYS.some((row) => row.includes(text.slice(at, at + length + 1)))
    ) {
      length += 1;
    }
    at += length;
  }
  return text.length > 0 && pieces <= text.length / 4;
}

function isRepeated(text: string): boolean {
  for (let length = 1; length <= text.length / 2; length += 1) {
    const piece = text.slice(0, length);
    if (length <= 8 && piece.repeat(Math.ceil(text.length / length)).startsWith(text)) return true;
  }
  return false;
}

/** Signs and digits around it and letters in disguise do not make a common one uncommon. */
function isCommon(text: string): boolean {
  const trimmed = text.replace(/^[^a-z]+|[^a-z]+$/g, '');
  return [text, trimmed].some((form) => {
    const plain = Array.from(form, (letter) => LEET[letter] ?? letter).join('');
    return [form, plain]
      .map((each) => each.replace(/[^a-z]/g, ''))
      .some((letters) => COMMON.has(letters) || isTwoOfThem(letters));
  });
}

function isTwoOfThem(letters: string): boolean {
  for (let at = 3; at <= letters.length - 3; at += 1) {
    if (COMMON.has(letters.slice(0, at)) && COMMON.has(letters.slice(at))) return true;
  }
  return false;
}

function leftWithout(text: string, names: readonly string[]): number {
  const parts = names
    .flatMap((name) => [name, ...name.split(/[^\p{L}\p{N}]+/u)])
    .map((part) => part.normalize('NFKC').toLowerCase())
    .filter((part) => part.length >= NAME_PART_MIN)
    .sort((a, b) => b.length - a.length);
  let rest = text;
  let isNamed = false;
  for (const part of parts) {
    isNamed ||= rest.includes(part);
    rest = rest.replaceAll(part, '');
  }
  return isNamed ? Array.from(rest).length : Infinity;
}
