import type { RouteName } from '../../../src/protocol/api/index.js';
import { requestOf, type ProblemBody, type Reply, type TestManager } from '../manager.js';

/** A browser, as far as sign-ins go: it keeps cookies and knows its CSRF value. */
export interface Browser {
  readonly cookies: Map<string, string>;
  csrf: string;
  call(
    name: RouteName,
    given?: { params?: unknown; query?: unknown; body?: unknown },
    headers?: Readonly<Record<string, string>>,
  ): Promise<Reply<Told>>;
}

/** Any answer; specs look at what they care for. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Told = ProblemBody & Record<string, any>;

export const PASSWORD = 'seven-blue-anvils-sing';

export function makeBrowser(url: string): Browser {
  const browser: Browser = {
    cookies: new Map(),
    csrf: '',
    call: async (name, given = {}, headers = {}) => {
      const { method, path } = requestOf(name, given);
      const response = await fetch(url + path, {
        method,
        redirect: 'manual',
        headers: {
          cookie: [...browser.cookies].map(([key, value]) => `${key}=${value}`).join('; '),
          'x-bellwether-csrf': browser.csrf,
          ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        body: given.body === undefined ? null : JSON.stringify(given.body),
      });
      keepCookies(browser.cookies, response);
      const text = await response.text();
      const type = response.headers.get('content-type') ?? '';
      const isJson = /^application\/(problem\+)?json/.test(type);
      const body = (isJson ? JSON.parse(text) : {}) as Told;
      if (typeof body['csrf'] === 'string') browser.csrf = body['csrf'];
      return { status: response.status, headers: response.headers, body };
    },
  };
  return browser;
}

export function keepCookies(cookies: Map<string, string>, response: Response): void {
  for (const line of response.headers.getSetCookie()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === '') cookies.delete(name);
    else cookies.set(name, value);
  }
}

/** Invites somebody, who accepts and is signed in. */
export async function join(
  manager: TestManager,
  login: string,
  held: { readonly super_admin?: boolean; readonly group_id?: string; readonly role?: string },
  more: Readonly<Record<string, unknown>> = {},
): Promise<Browser & { readonly id: string }> {
  const invited = await manager.call('invitations.create', {
    body: { note: login, ...held, ...more } as never,
  });
  const browser = makeBrowser(manager.url);
  const { secret } = invited.body;
  const body = { secret, login, name: `The ${login}`, password: PASSWORD };
  const joined = await browser.call('invitations.accept', { body });
  if (joined.status !== 201) throw new Error(JSON.stringify([invited.body, joined.body]));
  return Object.assign(browser, { id: (joined.body['user'] as { id: string }).id });
}
