import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aMasterKey, secretsUnder } from '../../../../test/support/secrets.js';
import { parseMasterKey } from './index.js';

const nothing = { reseal: async () => 0 };

/** Secrets that keep one purpose. */
function secretsFor(...keys: readonly string[]) {
  const secrets = secretsUnder(...keys);
  for (const purpose of ['sink', 'totp']) secrets.keep(purpose, nothing);
  return secrets;
}
const unreadable = expect.objectContaining({ code: 'secret_unreadable' }) as Error;

describe('a sealed text', () => {
  it('comes back as it was, in its own place, and looks different each time', () => {
    const secrets = secretsFor();
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, id) => {
        const [one, two] = [secrets.seal('sink', id, text), secrets.seal('sink', id, text)];
        expect(secrets.open('sink', id, one)).toBe(text);
        expect(two).not.toBe(one);
        if (text.length > 3) expect(one).not.toContain(text);
      }),
    );
  });

  it('opens for no other row, no other purpose and no other key', () => {
    const secrets = secretsFor();
    const sealed = secrets.seal('sink', 'snk_a', 'hunter2');
    expect(() => secrets.open('sink', 'snk_b', sealed)).toThrow(unreadable);
    expect(() => secrets.open('totp', 'snk_a', sealed)).toThrow(unreadable);
    expect(() => secretsFor().open('sink', 'snk_a', sealed)).toThrow(unreadable);
    expect(() => secrets.open('sink', 'snk_a', 'hunter2')).toThrow(unreadable);
  });

  it('with any single bit changed, cut or longer, opens not', () => {
    const secrets = secretsFor();
    const sealed = secrets.seal('sink', 'snk_a', 'hunter2');
    const at = sealed.lastIndexOf(':') + 1;
    const bytes = Buffer.from(sealed.slice(at), 'base64url');
    const withBytes = (changed: Buffer): string =>
      sealed.slice(0, at) + changed.toString('base64url');
    expect(secrets.open('sink', 'snk_a', withBytes(bytes))).toBe('hunter2');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => secrets.open('sink', 'snk_a', withBytes(changed))).toThrow(unreadable);
    }
    for (let length = 0; length < bytes.length; length += 1) {
      const cut = withBytes(bytes.subarray(0, length));
      expect(() => secrets.open('sink', 'snk_a', cut)).toThrow(unreadable);
    }
    const longer = withBytes(Buffer.concat([bytes, Buffer.from([0])]));
    expect(() => secrets.open('sink', 'snk_a', longer)).toThrow(unreadable);
    // Base64 has several spellings of one text; ours alone is taken.
    expect(() => secrets.open('sink', 'snk_a', `${sealed}=`)).toThrow(unreadable);
  });

  it('goes over to a new key, and only then is the old one no longer needed', () => {
    const [old, fresh] = [aMasterKey(), aMasterKey()];
    const sealed = secretsFor(old).seal('sink', 'snk_a', 'hunter2');
    const both = secretsFor(fresh, old);
    expect([both.open('sink', 'snk_a', sealed), both.isCurrent(sealed)]).toEqual([
      'hunter2',
      false,
    ]);
    const anew = both.reseal('sink', 'snk_a', sealed);
    expect(secretsFor(fresh).open('sink', 'snk_a', anew)).toBe('hunter2');
    expect(() => secretsFor(fresh).open('sink', 'snk_a', sealed)).toThrow(unreadable);
  });

  it('is of a purpose that somebody keeps, and of a bounded size', () => {
    const secrets = secretsFor();
    expect(() => secrets.seal('other', 'a', 'b')).toThrow('nobody keeps');
    expect(() => secrets.seal('sink', 'a', 'ß'.repeat(33_000))).toThrow('bytes at most');
    expect(() => secrets.keep('Two Words', nothing)).toThrow('a purpose is a word');
  });

  it('is in no error, and its key in nothing that is printed', () => {
    const text = aMasterKey();
    const key = parseMasterKey(text);
    const secrets = secretsFor(text);
    const hex = Buffer.from(text, 'base64').toString('hex');
    const printed = [inspect(key, { depth: 9 }), JSON.stringify(key), inspect(secrets)].join('\n');
    expect(printed).not.toContain(text);
    expect(printed).not.toContain(hex);
    expect(printed).not.toMatch(new RegExp((hex.match(/../g) ?? []).join(' ')));
    try {
      secrets.open('sink', 'a', 'hunter2');
    } catch (error) {
      expect(inspect(error, { depth: 9 })).not.toContain('hunter2');
    }
  });
});

describe('a master key', () => {
  it('has 32 bytes in base64 or hex, whatever stands around it', () => {
    const text = aMasterKey();
    const bytes = Buffer.from(text, 'base64');
    const spellings = [text, ` ${text}\n`, bytes.toString('hex'), bytes.toString('base64url')];
    expect(new Set(spellings.map((one) => parseMasterKey(one)?.id)).size).toBe(1);
    expect(parseMasterKey(aMasterKey())?.id).not.toBe(parseMasterKey(text)?.id);
  });

  it.each(['', 'secret', 'A'.repeat(43), '0'.repeat(64), 'ab'.repeat(31), `${'x'.repeat(42)}!`])(
    'is not %j',
    (text) => {
      expect(parseMasterKey(text)).toBeNull();
    },
  );
});
