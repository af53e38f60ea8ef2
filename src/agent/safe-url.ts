/** `localhost` and the loopback addresses; nothing that a name server could point elsewhere. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * What is wrong with an address that the agent is told to use, or null. Plain http to another
 * machine shows every token, command and release to whoever listens; credentials in an address end
 * in logs.
 */
export function problemWithUrl(text: string, allowPlaintext: boolean): string | null {
  if (!URL.canParse(text)) return `${text} is not an address`;
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return 'an address must not hold a name or a password';
  if (protocol === 'https:') return null;
  if (protocol !== 'http:') return `${text}: use https`;
  if (allowPlaintext || LOOPBACK.test(hostname)) return null;
  return `${text}: use https (or allow_plaintext = true in a closed test network)`;
}
