import { describe, expect, it } from 'vitest';
import { redactAll, redactText } from './redact.js';

const CANARY = 'cAnArY-0123456789';

describe('what leaves a node in a bundle', () => {
  it.each([
    ['a header', `authorization: Bearer ${CANARY}`],
    ['a header in JSON', `{"authorization":"Basic ${CANARY}"}`],
    ['an address with a password', `GET https://user:${CANARY}@example.com/x`],
    ['an address with a query', `https://s3.example.com/blob?X-Amz-Signature=${CANARY}`],
    ['a setting', `password = "${CANARY}"`],
    ['a setting in JSON', `{"api_key": "${CANARY}"}`],
    ['an option', `--token=${CANARY}`],
    ['a token of a node', `eyJhbGciOiJFZERTQSJ9.${CANARY}.${CANARY}`],
    ['an enrollment token', `bwe_${CANARY}`],
    ['a key', `-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----`],
    ['a key that was cut', `-----BEGIN OPENSSH PRIVATE KEY-----\n${CANARY}`],
    ['a value of the configuration', `connecting with ${CANARY}`],
  ])('holds nothing of %s', (_, text) => {
    const left = redactText(text, [CANARY]);
    const withoutList = redactText(text);
    expect(left).not.toContain(CANARY);
    if (!text.startsWith('connecting')) expect(withoutList).not.toContain(CANARY);
  });

  it('keeps what helps', () => {
    const text = 'GET https://example.com/node/v1/blobs/sha256/ab 503 upgrade_network_error';
    expect(redactText(text)).toBe(text);
    expect(redactAll({ a: [1, true, null, 'x'] })).toEqual({ a: [1, true, null, 'x'] });
  });
});
