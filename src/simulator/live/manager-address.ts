/** This machine, and nothing that another resolver could make of a name. */
const isLoopback = ({ hostname }: URL): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);

/**
 * Where load may be sent to: this machine; any other only when `--i-operate` names exactly its host, and
 * only over TLS, since a token goes with it. Throws what to do instead.
 */
export function judgeAddress(text: string, consent: string | null): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Error(`--manager ${text}: give an address such as https://manager.example`);
  }
  if (isLoopback(url)) return url;
  if (consent !== url.hostname) {
    throw new Error(
      `${url.hostname} is not this machine. Thousands of nodes would connect to it, enroll and stay ` +
        `enrolled. If it is yours and this is what you want, add --i-operate ${url.hostname}`,
    );
  }
  if (url.protocol !== 'https:') throw new Error('a token does not leave this machine without TLS');
  return url;
}
