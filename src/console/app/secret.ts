import { useEffect, useState } from 'react';

/**
 * The secret behind `#` of the address, and the address without it: so it is in no picture of the window, in
 * no history and in no bookmark. Empty when there is none.
 */
export function takeSecret(): string {
  const secret = location.hash.slice(1);
  if (secret !== '') history.replaceState(history.state, '', location.pathname);
  return secret;
}

/** `first`, and later whatever is put behind `#` while the page is open: that loads no page anew. */
export function useSecret(first: string): string {
  const [secret, setSecret] = useState(first);
  useEffect(() => {
    const take = (): void => setSecret((before) => takeSecret() || before);
    addEventListener('hashchange', take);
    return () => removeEventListener('hashchange', take);
  }, []);
  return secret;
}

const INVITATION = '#/invitation/';

/** Links of invitations as managers write them, `/#/invitation/…`, lead to the page of invitations. */
export function followInvitation(): void {
  addEventListener('hashchange', () => {
    if (rewrite()) location.reload();
  });
  rewrite();
}

function rewrite(): boolean {
  if (!location.hash.startsWith(INVITATION)) return false;
  history.replaceState(null, '', `/invitation#${location.hash.slice(INVITATION.length)}`);
  return true;
}
