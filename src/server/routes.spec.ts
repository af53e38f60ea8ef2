import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  requestOf,
  startTestManager,
  type TestManager,
  type TestNode,
} from '../../test/support/manager.js';
import { join, type Browser } from '../../test/support/people/browser.js';
import { roleAllows, type Permission, type Role } from '../core/access/index.js';
import { ROUTES, type Route, type RouteName } from '../protocol/api/index.js';

const NAMES = Object.keys(ROUTES) as RouteName[];
const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', 'release', 'super_admin'];
const isGroupRole = (role: Role): boolean => role !== 'release' && role !== 'super_admin';

let manager: TestManager;
let east: string;
let west: string;
let westNode: TestNode;
let eastNode: TestNode;
const tokens = new Map<Role, string>();
let person: Browser;

/** A stream has no end of its own. */
const queryOf = (name: RouteName): object => (name === 'events.stream' ? { follow: false } : {});

beforeAll(async () => {
  manager = await startTestManager();
  east = await manager.group('east');
  west = await manager.group('west');
  eastNode = await manager.node(east, 'edge-east');
  westNode = await manager.node(west, 'edge-west');
  for (const role of ROLES) {
    tokens.set(role, await manager.token(role, isGroupRole(role) ? east : null));
  }
  person = await join(manager, 'viewer', { group_id: east, role: 'viewer' });
});
afterAll(() => manager.stop());

/** A request that a guard lets through or not, and that changes nothing if it does. */
async function knock(
  name: RouteName,
  credential: string | null,
): Promise<{ status: number; code: string }> {
  const route: Route = ROUTES[name];
  const params: Record<string, string> = {
    id: 'nod_0000000000',
    digest: 'nope',
    product: 'Nope',
    version: 'nope',
    channel: 'nope',
  };
  const { method, path } = requestOf(name, { params, query: queryOf(name) });
  const response = await fetch(manager.url + path, {
    method,
    headers: {
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      ...(route.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: route.body === undefined ? null : '[]',
  });
  const text = await response.text();
  const isProblem = response.headers.get('content-type') === 'application/problem+json';
  return {
    status: response.status,
    code: isProblem ? (JSON.parse(text) as { code: string }).code : '',
  };
}

describe('every row of the route table', () => {
  it.each(NAMES)('%s has a handler', async (name) => {
    const { status } = await knock(name, null);
    expect(status).not.toBe(404);
    expect(status).toBeLessThan(500);
  });

  it.each(NAMES.filter((name) => ROUTES[name].permission !== 'public'))(
    '%s refuses a caller without a credential',
    async (name) => {
      expect(await knock(name, null)).toEqual({ status: 401, code: 'unauthenticated' });
    },
  );

  const isPersonal = (name: RouteName): boolean => (ROUTES[name] as Route).isPersonal === true;
  const guarded = NAMES.filter(
    (name) => !['public', 'node', 'person'].includes(ROUTES[name].permission) && !isPersonal(name),
  );
  it.each(ROLES.flatMap((role) => NAMES.filter(isPersonal).map((name) => [role, name] as const)))(
    'a token of a %s is no person for %s',
    async (role, name) => {
      const told = await knock(name, tokens.get(role) ?? '');
      expect(told).toEqual({ status: 403, code: 'person_required' });
    },
  );
  it.each(ROLES.flatMap((role) => guarded.map((name) => [role, name] as const)))(
    'as %s, %s is allowed or refused as the permission table says',
    async (role, name) => {
      const { status, code } = await knock(name, tokens.get(role) ?? '');
      if (roleAllows(role, ROUTES[name].permission as Permission)) {
        expect([401, 403]).not.toContain(status);
        expect(status).toBeLessThan(500);
      } else {
        expect({ status, code }).toEqual({ status: 403, code: 'insufficient_role' });
      }
    },
  );

  const forPeople = NAMES.filter((name) => ROUTES[name].permission === 'person');
  it.each(ROLES.flatMap((role) => forPeople.map((name) => [role, name] as const)))(
    'as an API token with the role %s, %s is refused: it is for people',
    async (role, name) => {
      const answer = await knock(name, tokens.get(role) ?? '');
      expect(answer).toEqual({ status: 403, code: 'person_required' });
    },
  );

  it.each(guarded)(
    '%s is for a person with the role viewer what it is for a token',
    async (name) => {
      const route: Route = ROUTES[name];
      const body = route.body === undefined ? {} : { body: [] };
      const params = { id: 'nod_0000000000', user: 'usr_0000000000', digest: 'x', entry: 'x' };
      const { status, body: told } = await person.call(name, {
        params,
        query: queryOf(name),
        ...body,
      });
      if (roleAllows('viewer', ROUTES[name].permission as Permission)) {
        expect([401, 403]).not.toContain(status);
      } else expect([status, told.code]).toEqual([403, 'insufficient_role']);
    },
  );

  it.each(NAMES.filter((name) => ROUTES[name].method !== 'GET' && guarded.includes(name)))(
    '%s does nothing for a cookie without its CSRF value',
    async (name) => {
      const route: Route = ROUTES[name];
      const body = route.body === undefined ? {} : { body: [] };
      const answer = await person.call(name, { ...body }, { 'x-bellwether-csrf': 'x' });
      expect([answer.status, answer.body.code]).toEqual([403, 'csrf_invalid']);
    },
  );

  it.each(NAMES.filter((name) => ROUTES[name].permission === 'node'))(
    '%s takes a node token and no API token',
    async (name) => {
      manager.clock.advance(60_000);
      expect(await knock(name, manager.admin)).toEqual({ status: 401, code: 'jwt_invalid' });
      const token = eastNode.token();
      expect((await knock(name, token)).status).not.toBe(401);
      expect(await knock(name, token)).toEqual({ status: 401, code: 'jwt_replayed' });
    },
  );
});

describe('across groups', () => {
  const groupRoles = ROLES.filter(isGroupRole);

  it.each(groupRoles)('a node of another group is not there for an %s', async (role) => {
    const token = tokens.get(role) ?? '';
    const upgrade = { version: '1.0.0', channel: 'stable' as const, product: 'edge' };
    const own = await manager.call('nodes.show', { params: { id: eastNode.id } }, token);
    expect(own.status).toBe(200);
    const other = { params: { id: westNode.id } };
    const unknown = { params: { id: 'nod_00000000000000000000' } };
    for (const name of ['nodes.show', 'nodes.revoke', 'nodes.upgrade'] as const) {
      if (!roleAllows(role, ROUTES[name].permission)) continue;
      const body = name === 'nodes.upgrade' ? { body: upgrade } : {};
      const hidden = await manager.call(name, { ...other, ...body } as never, token);
      const missing = await manager.call(name, { ...unknown, ...body } as never, token);
      expect([hidden.status, hidden.body.code]).toEqual([404, 'not_found']);
      // Word for word: the answer must not tell a hidden node from one that is not there.
      expect({ ...hidden.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' });
    }
  });

  it.each(groupRoles)('lists hold what an %s may see', async (role) => {
    const token = tokens.get(role) ?? '';
    const nodes = await manager.call('nodes.list', {}, token);
    expect(nodes.body.items.map((node) => node.id)).toEqual([eastNode.id]);
    const groups = await manager.call('groups.list', {}, token);
    expect(groups.body.items.map((group) => group.id)).toEqual([east]);
    const filtered = await manager.call('nodes.list', { query: { group_id: west } }, token);
    expect(filtered.status).toBe(404);
  });

  it('an admin may act in his group and not in another', async () => {
    const token = tokens.get('admin') ?? '';
    const create = (group_id: string) =>
      manager.call('enrollment.create', { body: { group_id } }, token);
    expect((await create(east)).status).toBe(201);
    expect((await create(west)).status).toBe(404);
    expect((await create('grp_default')).status).toBe(404);
    const below = { body: { name: 'below', parent_id: west } };
    expect((await manager.call('groups.create', below, token)).status).toBe(404);
  });

  it('a role flows down to groups made later', async () => {
    const hall = await manager.group('hall-7', east);
    const node = await manager.node(hall, 'edge-hall');
    const shown = await manager.call(
      'nodes.show',
      { params: { id: node.id } },
      tokens.get('viewer'),
    );
    expect(shown.body.group_id).toBe(hall);
  });

  it('says which role is missing to someone who may see the group', async () => {
    const mixed = await manager.token('viewer', west);
    const shown = await manager.call('nodes.show', { params: { id: westNode.id } }, mixed);
    expect(shown.status).toBe(200);
    const refused = await manager.call('nodes.revoke', { params: { id: westNode.id } }, mixed);
    expect(refused.status).toBe(403);
    expect(refused.body.context).toEqual({ required_role: 'admin' });
  });
});
