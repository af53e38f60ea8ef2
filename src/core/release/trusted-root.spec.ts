import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { changed, doubled, type Json } from '../../../test/support/json.js';
import { Sigstore } from '../../../test/support/sigstore.js';
import { parseTrustedRoot, TRUSTED_ROOT_BYTES_MAX } from './index.js';

let sigstore: Sigstore;
beforeAll(async () => {
  sigstore = await Sigstore.make();
});

const read = (root: unknown): ReturnType<typeof parseTrustedRoot> =>
  parseTrustedRoot(Buffer.from(JSON.stringify(root)));
const weak = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 1024 })
    .publicKey.export({ format: 'der', type: 'spki' })
    .toString('base64');

/** A second log, whose checkpoints go by the id of the first. */
const withAnother = (logs: unknown): unknown[] => {
  const [log] = logs as Json[];
  const logId = { keyId: Buffer.alloc(32).toString('base64') };
  return [log, { ...log, logId, checkpointKeyId: log?.['logId'] }];
};
const manyOf = (list: unknown): unknown[] =>
  Array.from({ length: 33 }, () => (list as unknown[])[0]);

describe('a trusted root', () => {
  it('of our own instance, and of the public one, is taken', () => {
    expect(read(sigstore.root).ok).toBe(true);
    const path = 'test/vectors/sigstore/public-good-trusted-root.json';
    expect(parseTrustedRoot(readFileSync(path)).ok).toBe(true);
  });

  it('needs only a log where only keys sign', () => {
    const { mediaType, tlogs } = sigstore.root;
    expect(read({ mediaType, tlogs }).ok).toBe(true);
  });

  // The library takes every one of the first as one that counts since ever.
  it.each<[string, string, unknown?]>([
    ['a log without start', 'tlogs.0.publicKey.validFor.start'],
    ['a log without time', 'tlogs.0.publicKey.validFor'],
    ['a certificate log without start', 'ctlogs.0.publicKey.validFor.start'],
    ['an authority without start', 'certificateAuthorities.0.validFor.start'],
    ['an authority without time', 'certificateAuthorities.0.validFor'],
    ['a time authority without start', 'timestampAuthorities.0.validFor.start'],
    ['a start that is no time', 'tlogs.0.publicKey.validFor.start', 'always'],
    ['an end before the start', 'ctlogs.0.publicKey.validFor.end', '2001-01-01T00:00:00Z'],
    ['a misspelt end', 'tlogs.0.publicKey.validFor.ends', '2031-01-01T00:00:00Z'],
    ['a log twice', 'tlogs', doubled],
    ['a certificate log twice', 'ctlogs', doubled],
    ['one id for two logs', 'tlogs', withAnother],
    ['no log', 'tlogs', []],
    ['no list of logs', 'tlogs'],
    ['more authorities than anyone has', 'certificateAuthorities', manyOf],
    ['a key that is none', 'tlogs.0.publicKey.rawBytes', 'AAAA'],
    ['a key that is no base64', 'tlogs.0.publicKey.rawBytes', 'A-_A'],
    ['a weak key', 'tlogs.0.publicKey.rawBytes', weak()],
    ['a key of another kind than it says', 'tlogs.0.publicKey.keyDetails', 'PKCS1_RSA_PKCS1V5'],
    ['no key', 'ctlogs.0.publicKey'],
    ['a log without id', 'tlogs.0.logId'],
    ['another hash', 'tlogs.0.hashAlgorithm', 'SHA1'],
    ['an address that is none', 'tlogs.0.baseUrl', 'rekor'],
    ['an authority without certificate', 'certificateAuthorities.0.certChain.certificates', []],
    [
      'a certificate that is none',
      'certificateAuthorities.0.certChain.certificates.0.rawBytes',
      'AAAA',
    ],
    ['another media type', 'mediaType', 'application/json'],
    ['an unknown field', 'tlog', []],
  ])('with %s is refused', (_what, path, value) => {
    expect(read(changed(sigstore.root, path, value))).toMatchObject({
      ok: false,
      error: { code: 'upgrade_trusted_root_invalid' },
    });
  });

  it('is refused when it is no JSON, or too large to be one', () => {
    for (const bytes of [
      Buffer.from('{'),
      Buffer.from([0xff]),
      Buffer.from('[]'),
      Buffer.alloc(0),
    ]) {
      expect(parseTrustedRoot(bytes).ok).toBe(false);
    }
    const large = parseTrustedRoot(Buffer.alloc(TRUSTED_ROOT_BYTES_MAX + 1, ' '));
    expect(large.ok ? '' : large.error.message).toContain('at most');
  });

  it('says where it is wrong', () => {
    const answer = read(changed(sigstore.root, 'tlogs.0.publicKey.validFor.start'));
    expect(answer.ok ? '' : answer.error.message).toContain(
      'tlogs.0.publicKey.validFor.start: since when it counts must be there',
    );
  });
});
