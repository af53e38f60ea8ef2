import { randomBytes } from 'node:crypto';
import { masterKeyFrom, Secrets } from '../../src/server/platform/secrets/index.js';

/** A master key as an operator would write it. */
export const aMasterKey = (): string => randomBytes(32).toString('base64');

/** Secrets under a key, or under one of their own. */
export const secretsUnder = (current = aMasterKey(), ...old: readonly string[]): Secrets => {
  const [newest, ...before] = [current, ...old].map((text) =>
    masterKeyFrom(Buffer.from(text, 'base64')),
  );
  if (newest === undefined) throw new Error('no key');
  return new Secrets(newest, before);
};
