import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seededRandom, type Random } from '../../src/core/kernel/index.js';
import { Problem, ROUTES, type Route, type RouteName } from '../../src/protocol/api/index.js';
import { openApiDocument } from '../../src/server/platform/http/index.js';
import { CALLS, type Given } from '../access/calls.js';
import { startWorld, type World } from '../access/world.js';
import { requestOf } from '../support/manager.js';
import { mutatedJson, mutatedText } from './mutate.js';

/** Mutants of each operation with every test run; `npm run fuzz` gives the other. */
const RUNS = Number(process.env['FUZZ_HTTP_RUNS'] ?? 12);
const SEED = process.env['FUZZ_SEED'] ?? '1';
const TIMEOUT_MS = 3_600_000;
/** So that limits on rates are not what is looked at. */
const PAUSE_MS = 4_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

const NAMES = (Object.keys(ROUTES) as RouteName[]).filter(
  // These have no end.
  (name) => name !== 'events.stream' && name !== 'events.ws',
);

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}
const operations = new Map(
  Object.values(openApiDocument()['paths'] as Record<string, Record<string, Operation>>)
    .flatMap((path) => Object.values(path))
    .map((operation) => [operation.operationId, operation]),
);

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world.stop());

/** As it is written here: `fetch` would tidy paths and headers. */
function send(method: string, path: string, body: string | null): Promise<Answer> {
  const url = new URL(world.manager.url);
  return new Promise((resolve, reject) => {
    const asking = request(
      {
        host: url.hostname,
        port: url.port,
        method,
        path,
        headers: {
          authorization: `Bearer ${world.credential('super_admin') ?? ''}`,
          ...(body === null
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          if (text.length < ANSWER_BYTES_MAX) text += chunk.toString('utf8');
        });
        response.once('error', reject);
        response.once('end', () => {
          const type = response.headers['content-type'] ?? '';
          resolve({ status: response.statusCode ?? 0, type, text });
        });
      },
    );
    asking.once('error', reject);
    asking.end(body ?? undefined);
  });
}

/** One part of a good call is changed: a parameter, the query, or the body. */
function mutant(name: RouteName, given: Given, random: Random): Given {
  const route: Route = ROUTES[name];
  const parts = [
    ...(route.params === undefined ? [] : ['params' as const]),
    ...(route.query === undefined ? [] : ['query' as const]),
    // Most of what can be wrong is here.
    ...(route.body === undefined ? [] : (['body', 'body', 'body'] as const)),
  ];
  const part = parts[random.below(parts.length)];
  if (part === undefined) return given;
  if (part === 'body') return { ...given, body: mutatedJson(given.body ?? {}, random) };
  const values = Object.entries<string | number | boolean>({
    ...(given[part] ?? {}),
    ...(part === 'query' ? QUERY : {}),
  });
  const [key, value] = values[random.below(values.length)] ?? ['id', ''];
  const text = mutatedText(value.toString(), random).toWellFormed();
  return { ...given, [part]: { ...given[part], [key]: text } };
}
const QUERY = { limit: '10', cursor: 'AAAA', group_id: 'grp_default', after: '1', q: 'edge' };

/** What is wrong with an answer; null when it is as the document says. */
function complaint(name: RouteName, { status, type, text }: Answer): string | null {
  const operation = operations.get(name);
  if (operation === undefined) return 'the document does not know it';
  if (status < 400) {
    return operation.responses[String(status)] === undefined ? 'an undocumented status' : null;
  }
  if (status >= 500 && status !== 503) return 'the manager failed';
  if (!type.startsWith('application/problem+json')) return `not a problem document: ${type}`;
  const problem = Problem.safeParse(JSON.parse(text));
  if (!problem.success) return `a malformed problem document: ${problem.error.message}`;
  const { code } = problem.data;
  const told = operation.responses[String(status)]?.description ?? '';
  return told.includes(`\`${code}\``) ? null : `the document does not name ${code}`;
}

it(
  'every operation answers what its document says, whatever is sent to it',
  async () => {
    const random = seededRandom(`${SEED} http`);
    /** The first request of each kind. */
    const wrong = new Map<string, string>();
    const statuses = new Map<number, number>();
    for (const name of NAMES) {
      let good: Given = {};
      for (let run = 0; run < RUNS; run += 1) {
        // Made anew now and then: a call that was taken may have used it up.
        if (run % 4 === 0) good = await CALLS[name].give(world.spots.other, world);
        const given = mutant(name, good, random);
        const { method, path } = requestOf(name, given);
        const body = 'body' in ROUTES[name] ? JSON.stringify(given.body ?? {}) : null;
        world.manager.clock.advance(PAUSE_MS);
        const answer = await send(method, path.replace(/[^\x21-\x7e]/g, encodeURIComponent), body);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const why = complaint(name, answer);
        if (why === null) continue;
        const kind = `${name}: ${answer.status}, ${why}`;
        if (!wrong.has(kind)) wrong.set(kind, `${method} ${path} ${body ?? ''}`.slice(0, 600));
      }
    }
    expect(Object.fromEntries(wrong)).toEqual({});
    // It answered some, and refused most.
    expect([statuses.has(200), statuses.has(400)]).toEqual([true, true]);
    expect((await send('GET', '/healthz', null)).status).toBe(200);
  },
  TIMEOUT_MS,
);
