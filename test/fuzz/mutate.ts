import type { Random } from '../../src/core/kernel/index.js';

/** Texts that have broken parsers before: of every length, direction, escape and number. */
const WORDS = [
  '',
  '\u0000',
  '\ud800',
  '\u202e',
  '\ufeff',
  '../../etc/passwd',
  '%00',
  '%2e%2e%2f',
  '${7*7}',
  "' OR 1=1 --",
  '\r\nX-Injected: yes',
  '<script>alert(1)</script>',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'NaN',
  '1e309',
  '-0',
  '0x10',
  '9007199254740993',
  '2026-02-30T25:61:61Z',
  '9999-12-31T23:59:60Z',
  'é'.repeat(70),
  '👩‍👩‍👧‍👦',
  'a'.repeat(300),
  'a'.repeat(5_000),
];
const NUMBERS = [
  0,
  -0,
  -1,
  1,
  0.1,
  2 ** 31,
  -(2 ** 31),
  2 ** 53,
  2 ** 53 - 1,
  1e21,
  1e308,
  -1e308,
  5e-324,
];
const DEPTH = 60;

const pick = <T>(items: readonly T[], random: Random): T => {
  const item = items[random.below(items.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
};

const deep = (random: Random): unknown => {
  let value: unknown = pick([1, 'x', null], random);
  for (let level = 0; level < DEPTH; level += 1)
    value = random.below(2) === 0 ? [value] : { value };
  return value;
};

const strange = (random: Random): unknown => {
  const kinds = [
    () => pick(WORDS, random),
    () => pick(NUMBERS, random),
    () => pick([null, true, false, [], {}], random),
    () => Array.from({ length: 1 + random.below(40) }, () => pick(WORDS, random)),
    () => deep(random),
  ];
  return pick(kinds, random)();
};

type Tree = Record<string, unknown>;

/** A JSON value with one thing in it changed, somewhere. The one that is given stays as it is. */
export function mutatedJson(value: unknown, random: Random): unknown {
  const isBranch = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  // Mostly somewhere inside; the whole is soon refused, whatever it is.
  if (!isBranch || random.below(12) === 0) {
    return typeof value === 'string' && random.below(2) === 0
      ? mutatedText(value, random)
      : strange(random);
  }
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Tree;
  const key = pick(Object.keys(copy), random);
  const ways = [
    () => void (copy[key] = mutatedJson(copy[key], random)),
    () => void (copy[key] = mutatedJson(copy[key], random)),
    () => void (copy[key] = mutatedJson(copy[key], random)),
    () => void Reflect.deleteProperty(copy, key),
    () => void (copy[key] = copy[pick(Object.keys(copy), random)]),
    () =>
      // An own property, also when it is called `__proto__`.
      void Object.defineProperty(copy, pick(WORDS, random), {
        value: strange(random),
        enumerable: true,
        configurable: true,
        writable: true,
      }),
  ];
  pick(ways, random)();
  return Array.isArray(value) ? Object.values(copy) : copy;
}

export function mutatedText(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const end = at + random.below(8);
  const ways = [
    () => text.slice(0, at) + pick(WORDS, random) + text.slice(at),
    () => text.slice(0, at) + text.slice(end),
    () => text.slice(0, at) + pick(WORDS, random) + text.slice(end),
    () => text.slice(0, at),
    () => text + text.slice(at),
    () => text.toUpperCase(),
    () => text.slice(0, at) + String.fromCodePoint(random.below(0x24ff)) + text.slice(at + 1),
  ];
  return pick(ways, random)();
}

/** Bytes with one to some places changed; `others` are what it may be crossed with. */
export function mutatedBytes(bytes: Buffer, others: readonly Buffer[], random: Random): Buffer {
  let changed = bytes;
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    changed = changedOnce(changed, others, random);
  }
  return changed;
}

function changedOnce(bytes: Buffer, others: readonly Buffer[], random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + random.below(16));
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(end)];
  const flipped = (by: (byte: number) => number): Buffer => {
    const copy = Buffer.from(bytes);
    if (at < copy.length) copy[at] = by(copy[at] ?? 0);
    return copy;
  };
  const ways = [
    () => flipped((byte) => byte ^ (1 << random.below(8))),
    () => flipped(() => random.below(256)),
    () => flipped((byte) => byte + (random.below(2) === 0 ? 1 : -1)),
    () => Buffer.concat([head, tail]),
    () => Buffer.concat([head, Buffer.from(pick(WORDS, random)), bytes.subarray(at)]),
    () => Buffer.concat([head, Buffer.from(pick(WORDS, random)), tail]),
    () => Buffer.concat([head, bytes.subarray(at, end), bytes.subarray(at)]),
    () => Buffer.from(head),
    () => {
      const other = pick(others, random);
      return Buffer.concat([head, other.subarray(random.below(other.length + 1))]);
    },
    () => asJson(bytes, random),
    () => asJson(bytes, random),
  ];
  return pick(ways, random)();
}

/** Where it is JSON, changed as such: what does not parse at all is refused at the door. */
function asJson(bytes: Buffer, random: Random): Buffer {
  try {
    return Buffer.from(JSON.stringify(mutatedJson(JSON.parse(bytes.toString('utf8')), random)));
  } catch {
    return Buffer.from(mutatedText(bytes.toString('utf8'), random));
  }
}
