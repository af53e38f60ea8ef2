import type { RouteName } from '../../src/protocol/api/index.js';
import { aHost } from '../support/manager.js';
import type { Spot, World } from './world.js';

export interface Given {
  readonly params?: object;
  readonly query?: object;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How one route is called about one place. */
export interface CallOf {
  readonly give: (spot: Spot, world: World) => Given | Promise<Given>;
  /** Whether the answer holds what lies at the place; for lists, which are never refused as a whole. */
  readonly holds?: (text: string, spot: Spot) => boolean;
  /** Set when the route knows no groups: it is called once. */
  readonly anywhere?: true;
}

const nothing: CallOf = { give: () => ({}), anywhere: true };
const anywhere = (given: Given): CallOf => ({ give: () => given, anywhere: true });
const ofGroup = (more: Given = {}): CallOf => ({
  give: ({ group }) => ({ params: { id: group }, ...more }),
});
const ofNode = (more: Given = {}): CallOf => ({
  give: ({ node }) => ({ params: { id: node.id }, ...more }),
});
const ofRollout = (more: Given = {}): CallOf => ({
  give: ({ rollout }) => ({ params: { id: rollout }, ...more }),
});
const ofWave = ofRollout({ body: { wave: 7 } });
/** A list that shows what is visible, and is never refused for a place. */
const listOf = (id: (spot: Spot) => string, given: Given = {}): CallOf => ({
  give: () => given,
  holds: (text, spot) => text.includes(id(spot)),
});

const DIGEST = '0'.repeat(64);
const RELEASE = { product: 'edge', version: '1.0.0', channel: 'stable' };
const plan = ({ group }: Spot): Given => ({
  body: { product: 'edge', version: '1.1.0', scope: { group_id: group } },
});
const aToken = async ({ group }: Spot, world: World): Promise<string> => {
  const body = { name: 'one of many', role: 'viewer', group_id: group } as const;
  return (await world.manager.call('tokens.create', { body })).body.id;
};

const PASSWORD = 'seven-blue-anvils-sing';
const anInvitation = async (
  { group }: Spot,
  { manager }: World,
): Promise<{ readonly id: string; readonly secret: string }> => {
  const body = { note: 'Kim', group_id: group, role: 'viewer' } as const;
  return (await manager.call('invitations.create', { body })).body;
};
const aUser = async (
  spot: Spot,
  world: World,
): Promise<{ readonly id: string; readonly login: string }> => {
  const { secret } = await anInvitation(spot, world);
  const login = `person${world.fresh()}`;
  const body = { secret, login, name: 'Kim', password: PASSWORD };
  const made = await world.manager.call('invitations.accept', { body }, null);
  return { id: made.body.user.id, login };
};
const ofUser = (more: Given = {}): CallOf => ({
  give: async (spot, world) => ({ params: { id: (await aUser(spot, world)).id }, ...more }),
  anywhere: true,
});

/** At an address that sinks may not reach: whatever is called, nothing is sent. */
const SINK = { name: 'a sink', kind: 'webhook', config: { url: 'http://127.0.0.1:9/' } } as const;
/** One for each place: there may only be so many. */
const sinks = new WeakMap<Spot, Promise<string>>();
const makeSink = async ({ group }: Spot, { manager }: World): Promise<string> =>
  (await manager.call('sinks.create', { body: { ...SINK, group_id: group } })).body.id;
const aSink = (spot: Spot, world: World): Promise<string> => {
  const made = sinks.get(spot) ?? makeSink(spot, world);
  sinks.set(spot, made);
  return made;
};
/** What changes a sink gets one of its own: the next call must not find it gone. */
const ofSink = (more: Given = {}): CallOf => ({
  give: async (spot, world) => {
    const id = await makeSink(spot, world);
    cleanUp.push(() => world.manager.call('sinks.remove', { params: { id } }));
    for (const forget of cleanUp.splice(0, cleanUp.length - 1)) await forget();
    return { params: { id }, ...more };
  },
});
/** A plan of its own for each call, and one schedule by it: groups hold only so many, so the one before goes. */
const aPlan = async (spot: Spot, world: World): Promise<string> => {
  const { manager } = world;
  const body = { name: `plan ${world.fresh()}`, group_id: spot.group, terms: {} };
  const { id } = (await manager.call('plans.create', { body })).body;
  plansMade.push(() => manager.call('plans.remove', { params: { id } }));
  for (const forget of plansMade.splice(0, plansMade.length - 1)) await forget();
  return id;
};
const plansMade: (() => Promise<unknown>)[] = [];
const aSchedule = async (spot: Spot, world: World): Promise<string> => {
  const { manager } = world;
  const plan_id = await aPlan(spot, world);
  const name = `schedule ${world.fresh()}`;
  const body = { name, group_id: spot.group, product: 'edge', plan_id };
  const { id } = (await manager.call('schedules.create', { body })).body;
  plansMade.unshift(() => manager.call('schedules.remove', { params: { id } }));
  return id;
};
const ofPlan = (more: Given = {}): CallOf => ({
  give: async (spot, world) => ({ params: { id: await aPlan(spot, world) }, ...more }),
});
const ofSchedule = (more: Given = {}): CallOf => ({
  give: async (spot, world) => ({ params: { id: await aSchedule(spot, world) }, ...more }),
});
const cleanUp: (() => Promise<unknown>)[] = [];

/**
 * One way to call each route that fits its schema, so that whoever is let in gets further than the guard.
 * A new route does not compile until it has its line.
 */
export const CALLS: Readonly<Record<RouteName, CallOf>> = {
  'health.live': nothing,
  'openapi.show': nothing,
  'metrics.show': nothing,
  'setup.finish': anywhere({ body: { setup_token: 'bws_0000000000000000', name: 'ann' } }),
  'setup.first_user': anywhere({
    body: { setup_token: 'bws_0000000000000000', login: 'ann', name: 'Ann', password: PASSWORD },
  }),
  'session.sign_in': anywhere({ body: { login: 'nobody', password: PASSWORD } }),
  'session.show': nothing,
  'session.doors': nothing,
  'session.sign_out': nothing,
  'sessions.list': nothing,
  'sessions.revoke': anywhere({ params: { id: 'ses_00000000' } }),
  'account.password': anywhere({ body: { current: PASSWORD, new: `${PASSWORD}-more` } }),
  'account.begin_factor': anywhere({ body: { password: PASSWORD } }),
  'account.confirm_factor': anywhere({ body: { code: '123456' } }),
  'account.remove_factor': anywhere({ body: { password: PASSWORD, code: '123456' } }),
  'sso.start': nothing,
  'sso.callback': anywhere({ query: { code: 'none', state: 'none' } }),
  'users.list': nothing,
  'users.show': ofUser(),
  'users.update': ofUser({ body: { name: 'Renamed' } }),
  'users.disable': ofUser(),
  'users.enable': ofUser(),
  'users.sign_out': ofUser(),
  'users.reset_factor': ofUser(),
  'invitations.list': {
    give: async (spot, world) => {
      await anInvitation(spot, world);
      return {};
    },
    holds: (text, spot) => text.includes(spot.group),
  },
  'invitations.create': {
    give: ({ group }) => ({ body: { note: 'Kim', group_id: group, role: 'viewer' } }),
  },
  'invitations.revoke': {
    give: async (spot, world) => ({ params: { id: (await anInvitation(spot, world)).id } }),
  },
  'invitations.accept': anywhere({
    body: { secret: 'bwi_0000000000000000', login: 'ann', name: 'Ann', password: PASSWORD },
  }),
  'members.list': ofGroup(),
  'members.set': {
    give: async (spot, world) => ({
      params: { id: spot.group },
      body: { login: (await aUser(spot, world)).login, role: 'viewer' },
    }),
  },
  'members.remove': {
    give: async (spot, world) => ({
      params: { id: spot.group, user: (await aUser(spot, world)).id },
    }),
  },
  'tokens.list': {
    give: async (spot, world) => {
      await aToken(spot, world);
      return {};
    },
    holds: (text, spot) => text.includes(spot.group),
  },
  'tokens.create': {
    give: ({ group }) => ({ body: { name: 'made', role: 'viewer', group_id: group } }),
  },
  'tokens.rotate': {
    give: async (spot, world) => ({ params: { id: await aToken(spot, world) }, body: {} }),
  },
  'tokens.revoke': { give: async (spot, world) => ({ params: { id: await aToken(spot, world) } }) },
  'groups.list': listOf(({ group }) => `"id":"${group}"`),
  'groups.show': ofGroup(),
  'groups.create': {
    give: ({ group }, { fresh }) => ({ body: { name: `below ${fresh()}`, parent_id: group } }),
  },
  'groups.change': {
    give: ({ group }, { fresh }) => ({ params: { id: group }, body: { name: `named ${fresh()}` } }),
  },
  'groups.remove': {
    give: async ({ group }, { manager, fresh }) => ({
      params: { id: await manager.group(`empty ${fresh()}`, group) },
    }),
  },
  'groups.set_quota': ofGroup({ body: { nodes_max: 1000 } }),
  'groups.upgrade': ofGroup({ body: { version: '1.1.0', product: 'edge' } }),
  'groups.upgrades': ofGroup({ query: { product: 'edge' } }),
  'groups.switch': ofGroup(),
  'groups.set_switch': ofGroup({ body: { mode: 'enabled' } }),
  'groups.freezes': ofGroup(),
  'groups.freeze': ofGroup({
    body: { name: 'past', from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' },
  }),
  'groups.thaw': {
    give: async ({ group }, { manager }) => {
      const body = { name: 'past', from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' };
      const made = await manager.call('groups.freeze', { params: { id: group }, body });
      return { params: { id: group, freeze: made.body.id } };
    },
  },
  'link.sync': anywhere({
    body: { poll_id: 'pol_000000000001', seq: 1, received: 0, messages: [], wait_ms: 0 },
  }),
  'link.heartbeat': anywhere({
    body: { type: 'health', services: [], disk_free_bytes: 1, spool_backlog: 0 },
  }),
  'releases.find': anywhere({
    query: { product: 'edge', group: 'grp_default', os: 'linux', arch: 'x64' },
  }),
  'nodes.list': listOf(({ spare }) => spare.id),
  'nodes.show': ofNode(),
  'nodes.history': ofNode(),
  'nodes.why': ofNode(),
  'nodes.link': ofNode(),
  'fleet.groups': nothing,
  'fleet.summary': { give: ({ group }) => ({ query: { group_id: group } }) },
  'fleet.history': { give: ({ group }) => ({ query: { group_id: group } }) },
  'needs.list': { give: ({ group }) => ({ query: { group_id: group } }) },
  'nodes.revoke': { give: ({ spare }) => ({ params: { id: spare.id } }) },
  'nodes.transfer': {
    give: ({ group, spare }) => ({ body: { node_ids: [spare.id], group_id: group } }),
  },
  'nodes.upgrade': ofNode({ body: { version: '1.1.0', product: 'edge' } }),
  'nodes.upgrades': ofNode(),
  'enrollment.create': { give: ({ group }) => ({ body: { group_id: group } }) },
  'enrollment.clusters': { give: ({ group }) => ({ query: { group_id: group } }) },
  'enrollment.create_cluster': {
    give: ({ group }) => ({ body: { group_id: group, cluster: 'prod-1' } }),
  },
  'enrollment.revoke_cluster': {
    give: async ({ group }, { manager }) => {
      const body = { group_id: group, cluster: 'prod-1' };
      const made = await manager.call('enrollment.create_cluster', { body });
      return { params: { id: made.body.id } };
    },
  },
  'enrollment.decommission': anywhere({ body: { node_id: 'nod_00000000000000000000' } }),
  'enrollment.enroll': anywhere({
    body: {
      token: 'bwe_0000000000000000000000000000000000000000',
      name: 'edge-99',
      public_key: 'A'.repeat(43),
      proof: 'A'.repeat(86),
      host: aHost(),
    },
  }),
  'releases.list': nothing,
  'releases.upload': anywhere({ params: { digest: DIGEST } }),
  'releases.upload_status': anywhere({ params: { digest: DIGEST } }),
  'releases.append': anywhere({
    params: { digest: DIGEST },
    headers: { 'upload-offset': '7', 'upload-length': '9' },
  }),
  'releases.schema': nothing,
  'releases.show': {
    give: async (_, { manager }) => {
      const { body } = await manager.call('releases.list');
      return { params: { id: body.items[0]?.id ?? '' } };
    },
    anywhere: true,
  },
  'releases.yank': anywhere({ params: { id: 'rel_none00' }, body: { reason: 'a test of access' } }),
  'releases.collect': anywhere({ body: { dry_run: true } }),
  'sources.list': nothing,
  'sources.refresh': anywhere({ params: { name: 'nowhere' } }),
  'releases.publish': anywhere({ body: { manifest: '{}', signatures: ['none'] } }),
  'releases.manifest': anywhere({ params: RELEASE }),
  'releases.of_image': anywhere({ params: { product: 'edge', digest: 'ab'.repeat(32) } }),
  'releases.signatures': anywhere({ params: RELEASE }),
  'documents.announce': anywhere({ body: { document: '{}', signatures: ['none'] } }),
  'documents.list': nothing,
  'documents.channel': anywhere({ params: { product: 'edge', channel: 'stable' } }),
  'documents.downgrade': anywhere({ params: RELEASE }),
  'releases.blob': anywhere({ params: { digest: DIGEST } }),
  'rollouts.list': listOf(({ rollout }) => rollout, { query: { limit: 100 } }),
  'rollouts.show': ofRollout(),
  'rollouts.targets': ofRollout(),
  'rollouts.cells': ofRollout(),
  'rollouts.create': { give: plan },
  'rollouts.preview': { give: plan },
  'rollouts.report': ofRollout(),
  'rollouts.why': {
    give: ({ rollout, node }) => ({ params: { id: rollout, node: node.id } }),
  },
  'rollouts.revert': ofRollout(),
  'rollouts.mark_rolled_back': ofRollout(),
  'rollouts.retry_failed': ofRollout(),
  'rollouts.approve': ofWave,
  'rollouts.break_glass': ofRollout({ body: { reason: 'a test of access' } }),
  'rollouts.skip_wave': ofWave,
  'rollouts.start_wave': ofWave,
  'rollouts.mark_done': ofWave,
  'rollouts.pause': ofRollout(),
  'rollouts.resume': ofRollout(),
  'rollouts.cancel': ofRollout(),
  'events.list': listOf(({ spare }) => spare.id, { query: { limit: 1000 } }),
  'events.counts': listOf(({ group }) => group, {
    query: {
      since: '2020-01-01T00:00:00Z',
      until: '2040-01-01T00:00:00Z',
      bucket_minutes: 44_640,
      by: 'group_id',
    },
  }),
  'events.export': listOf(({ spare }) => spare.id),
  'events.segments': {
    give: async (_, { manager }) => {
      // Who asks for proof makes the seals.
      await fetch(`${manager.url}/api/v1/events/export?proof=true`, {
        headers: { authorization: `Bearer ${manager.admin}` },
      }).then((answer) => answer.text());
      return {};
    },
    holds: (text, { group }) => text.includes(group),
  },
  'events.stream': listOf(({ spare }) => spare.id, { query: { after: 0, follow: false } }),
  'events.ws': nothing,
  'plans.list': {
    give: async (spot, world) => {
      await aPlan(spot, world);
      return { query: { limit: 500 } };
    },
    holds: (text, spot) => text.includes(`"group_id":"${spot.group}"`),
  },
  'plans.create': {
    give: ({ group }, world) => ({
      body: { name: `made ${world.fresh()}`, group_id: group, terms: {} },
    }),
  },
  'plans.show': ofPlan(),
  'plans.change': ofPlan({ body: { note: 'changed' } }),
  'plans.remove': ofPlan(),
  'schedules.list': {
    give: async (spot, world) => {
      await aSchedule(spot, world);
      return { query: { limit: 500 } };
    },
    holds: (text, spot) => text.includes(`"group_id":"${spot.group}"`),
  },
  'schedules.create': {
    give: async (spot, world) => ({
      body: {
        name: `made ${world.fresh()}`,
        group_id: spot.group,
        product: 'edge',
        plan_id: await aPlan(spot, world),
      },
    }),
  },
  'schedules.show': ofSchedule(),
  'schedules.change': ofSchedule({ body: { when_busy: 'supersede' } }),
  'schedules.pause': ofSchedule(),
  'schedules.resume': ofSchedule(),
  'schedules.remove': ofSchedule(),
  'sinks.list': {
    give: async (spot, world) => {
      await aSink(spot, world);
      return { query: { limit: 500 } };
    },
    holds: (text, spot) => text.includes(`"group_id":"${spot.group}"`),
  },
  'sinks.create': {
    give: ({ group }) => ({ body: { ...SINK, group_id: group } }),
  },
  'sinks.show': ofSink(),
  'sinks.change': ofSink({ body: { name: 'renamed' } }),
  'sinks.remove': ofSink(),
  'sinks.rotate_secret': ofSink({ body: {} }),
  'sinks.test': ofSink(),
  'sinks.pause': ofSink(),
  'sinks.resume': ofSink(),
  'sinks.backfill': ofSink({ body: { after: 0 } }),
  'sinks.dead_letters': ofSink(),
  'sinks.replay': ofSink({ body: {} }),
  'sinks.discard': ofSink({ body: {} }),
  'alerts.list': { give: () => ({}), holds: (text, { alert }) => text.includes(alert) },
  'alerts.resolve': { give: ({ alert }) => ({ params: { id: alert } }) },
  'audit.list': listOf(({ spare }) => spare.id, { query: { limit: 100, target_kind: 'node' } }),
  'audit.export': listOf(({ spare }) => spare.id),
  'audit.key': nothing,
  'audit.checkpoints': nothing,
  'audit.checkpoint': nothing,
  'audit.inclusion': {
    give: async (spot, { manager }) => {
      const { body } = await manager.call('audit.list', { query: { target_id: spot.spare.id } });
      await manager.call('audit.checkpoint');
      return { params: { entry: body.items.at(-1)?.id ?? 1 } };
    },
  },
  'audit.consistency': anywhere({ query: { from: 1, to: 2 } }),
  'audit.node_consistency': anywhere({ query: { from: 1, to: 2 } }),
};
