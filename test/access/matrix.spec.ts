import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roleAllows } from '../../src/core/access/index.js';
import { ROUTES, type Route, type RouteName } from '../../src/protocol/api/index.js';
import { NODE_MESSAGE_TYPES, type NodeMessageType } from '../../src/protocol/node/index.js';
import { requestOf } from '../support/manager.js';
import { ROOT } from '../walls/tree.js';
import { CALLS, type Given } from './calls.js';
import { effectOf } from './messages.js';
import {
  CALLERS,
  linkStatus,
  PLACES,
  startWorld,
  type CallerName,
  type Spot,
  type World,
} from './world.js';

const PAGE = join(ROOT, 'docs/access.md');
const NAMES = Object.keys(ROUTES) as RouteName[];
/** Longer than one wrong credential costs: the limits on those are not what is looked at here. */
const PAUSE_MS = 4_000;

type Told = 'yes' | 'no' | '–' | 'who?';
const UNKNOWN_CALLER: ReadonlySet<string> = new Set(['unauthenticated', 'jwt_invalid']);
/** What a thing that is hidden is answered with, to the word. */
const HIDDEN = 'there is no such thing, or you may not see it';

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world.stop());

/** The rows of the page, by name: a cell for each caller. */
const rowsOfPage = (): ReadonlyMap<string, readonly string[]> =>
  new Map(
    readFileSync(PAGE, 'utf8')
      .replace(/^[^]*<!-- routes -->/, '')
      .split('\n')
      .filter((line) => /^\| `[\w.]+` \| /.test(line))
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, name = '', , ...cells]) => [name.replaceAll('`', ''), cells.slice(0, -1)]),
  );

async function ask(name: RouteName, given: Given, caller: CallerName): Promise<Response> {
  const { method, path } = requestOf(name, given);
  const credential = world.credential(caller);
  const hasSchema = 'body' in ROUTES[name];
  return await fetch(world.manager.url + path, {
    method,
    headers: {
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      ...given.headers,
      ...(hasSchema ? { 'content-type': 'application/json' } : {}),
    },
    body: hasSchema ? JSON.stringify(given.body ?? {}) : null,
  });
}

const isPutOff = ({ ok }: Response, text: string): boolean =>
  !ok && text.includes('"manager_busy"');

async function tell(name: RouteName, spot: Spot, caller: CallerName): Promise<Told> {
  world.manager.clock.advance(PAUSE_MS);
  const { give, holds } = CALLS[name];
  let response = await ask(name, await give(spot, world), caller);
  let text = await response.text();
  // On a busy machine exports are put off, as anybody's are.
  for (let again = 0; isPutOff(response, text) && again < 20; again += 1) {
    await sleep(1_000);
    response = await ask(name, await give(spot, world), caller);
    text = await response.text();
  }
  if (response.ok) return holds === undefined || holds(text, spot) ? 'yes' : '–';
  const { code, detail } = JSON.parse(text) as { code: string; detail: string };
  // Whoever is let in must get past the schema, or the row says nothing.
  expect(['invalid_request', 'rate_limited', 'internal_error'], `${name}: ${detail}`).not.toContain(
    code,
  );
  if (UNKNOWN_CALLER.has(code)) return 'who?';
  if (response.status === 403) return 'no';
  return code === 'not_found' && detail === HIDDEN ? '–' : 'yes';
}

/** One word when it is the same everywhere, otherwise three: own group, group below, other group. */
async function cellOf(name: RouteName, caller: CallerName): Promise<string> {
  const places = CALLS[name].anywhere === true ? (['own'] as const) : PLACES;
  const told: string[] = [];
  for (const place of places) told.push(await tell(name, world.spots[place], caller));
  return new Set(told).size === 1 ? (told[0] ?? '') : told.join(' ');
}

describe('docs/access.md', () => {
  const made = new Map<string, readonly string[]>();

  it('has a row for each route and each message of a node, and no others', () => {
    const names = [...NAMES, ...NODE_MESSAGE_TYPES];
    expect([...rowsOfPage().keys()].sort()).toEqual([...names].sort());
  });

  // First: links do not outlive the jumps of the clock that the routes need.
  it.each(NODE_MESSAGE_TYPES)('says who may send %s', async (type: NodeMessageType) => {
    const cells: string[] = [];
    for (const caller of CALLERS) {
      const status = await linkStatus(world.manager.url, world.credential(caller));
      cells.push(
        status === 101 ? await effectOf(type, world) : status === 401 ? 'who?' : `${status}`,
      );
    }
    made.set(type, cells);
    expect(cells).toEqual(rowsOfPage().get(type));
  });

  it.each(NAMES)('says who may call %s', async (name) => {
    const cells: string[] = [];
    for (const caller of CALLERS) cells.push(await cellOf(name, caller));
    made.set(name, cells);
    expect(cells).toEqual(rowsOfPage().get(name));
  });

  it('agrees with the table of permissions', () => {
    const rows = rowsOfPage();
    for (const name of NAMES) {
      const cells = rows.get(name) ?? [];
      const { permission, isPersonal }: Route = ROUTES[name];
      // Specs of their own try these as people of each role: all callers here are tokens.
      if (isPersonal === true) continue;
      if (permission === 'public' || permission === 'node' || permission === 'person') continue;
      const cellOfRole = (caller: CallerName): string => cells[CALLERS.indexOf(caller)] ?? '';
      expect([name, cellOfRole('nobody'), cellOfRole('node')]).toEqual([name, 'who?', 'who?']);
      for (const role of ['viewer', 'operator', 'admin', 'release', 'super_admin'] as const) {
        const isBarred = !roleAllows(role, permission);
        expect([name, role, cellOfRole(role) === 'no']).toEqual([name, role, isBarred]);
      }
      expect([name, cellOfRole('siem') === 'no']).toEqual([name, permission !== 'event.view']);
    }
  });

  it('shows nothing of another group to whoever holds a role on a group', () => {
    for (const [name, cells] of rowsOfPage()) {
      if (name in CALLS && CALLS[name as RouteName].anywhere === true) continue;
      for (const caller of ['viewer', 'operator', 'admin', 'siem'] as const) {
        const other = (cells[CALLERS.indexOf(caller)] ?? '').split(' ').at(-1);
        expect([name, caller, other]).not.toEqual([name, caller, 'yes']);
      }
    }
  });

  // For whoever adds a route: writes the rows as they are, to be read before they are kept.
  it.runIf(process.env['BELLWETHER_WRITE_ACCESS_TABLE'] === '1')('is written anew', () => {
    const line = (name: string, need: string): string =>
      `| \`${name}\` | ${need} | ${(made.get(name) ?? []).join(' | ')} |`;
    const head = (what: string): string[] => [
      `| ${what} | needs | ${CALLERS.join(' | ')} |`,
      `|---|---|${CALLERS.map(() => '---|').join('')}`,
    ];
    const tables = {
      routes: [
        ...head('route'),
        ...NAMES.map((name) => line(name, `\`${ROUTES[name].permission}\``)),
      ],
      messages: [...head('message'), ...NODE_MESSAGE_TYPES.map((type) => line(type, 'a link'))],
    };
    let page = readFileSync(PAGE, 'utf8');
    for (const [name, lines] of Object.entries(tables)) {
      const pattern = new RegExp(`(<!-- ${name} -->\n\n)[^]*?(\n\n<!-- end -->)`);
      page = page.replace(
        pattern,
        (_, before: string, after: string) => before + lines.join('\n') + after,
      );
    }
    writeFileSync(PAGE, page);
  });
});
