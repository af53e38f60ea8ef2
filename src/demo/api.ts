import {
  ROUTES,
  type Answer,
  type Call,
  type Route,
  type RouteName,
} from '../protocol/api/index.js';

/** Calls a route of the manager with a token; throws what the manager said when it refused. */
export class Api {
  readonly #url: string;
  readonly #token: string | null;

  constructor(url: string, token: string | null) {
    this.#url = url;
    this.#token = token;
  }

  async call<N extends RouteName>(name: N, given: Partial<Call<N>> = {}): Promise<Answer<N>> {
    const route: Route = ROUTES[name];
    const params = (given.params ?? {}) as Readonly<Record<string, string>>;
    const path = route.path.replace(/:([a-z]+)/g, (_, key: string) => params[key] ?? '');
    const query = Object.entries((given.query ?? {}) as Record<string, unknown>)
      .map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`)
      .join('&');
    const response = await fetch(`${this.#url}${path}${query === '' ? '' : `?${query}`}`, {
      method: route.method,
      headers: {
        ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: given.body === undefined ? null : JSON.stringify(given.body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${name}: ${response.status} ${text}`);
    return JSON.parse(text) as Answer<N>;
  }
}
