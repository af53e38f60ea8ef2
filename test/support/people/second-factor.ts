import { codeOf, stepAt, TOTP_STEP_MS } from '../../../src/core/people/index.js';
import type { TestManager } from '../manager.js';
import { PASSWORD, type Browser } from './browser.js';

/** What stands in an authenticator program. */
export const fromBase32 = (text: string): Buffer => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = Array.from(text, (c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
};

export interface Authenticator {
  /** In base32, as it was told. */
  readonly secret: string;
  readonly recoveryCodes: readonly string[];
  /** A code that was not used yet: the clock goes on by one step. */
  nextCode(): string;
}

/** Sets up a second factor for somebody who is signed in. */
export async function withSecondFactor(
  { clock }: Pick<TestManager, 'clock'>,
  browser: Browser,
): Promise<Authenticator> {
  const begun = await browser.call('account.begin_factor', { body: { password: PASSWORD } });
  const secret = begun.body['secret'] as string;
  const key = fromBase32(secret);
  const code = (): string => codeOf(key, stepAt(clock.now()));
  const confirmed = await browser.call('account.confirm_factor', { body: { code: code() } });
  if (confirmed.status !== 200) throw new Error(JSON.stringify(confirmed.body));
  return {
    secret,
    recoveryCodes: confirmed.body['recovery_codes'] as string[],
    nextCode: () => {
      clock.advance(TOTP_STEP_MS);
      return code();
    },
  };
}
