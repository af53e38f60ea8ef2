import { z } from 'zod';
import { Channel, ProductName, Sha256, SignedDocument, Version } from '../../core/release/index.js';
import type { ErrorCode } from '../errors.js';
import { EnrollRequest, EnrollResponse, Id } from '../node/index.js';
import * as s from './schemas.js';

/**
 * What a caller must be allowed to do. `public` and `node` routes carry their own proof (a one-time
 * token, a node token); every other name is a row in `src/core/access`.
 */
export const PERMISSIONS = [
  'public',
  'node',
  'token.manage',
  'group.view',
  'group.manage',
  'node.view',
  'node.enroll',
  'node.upgrade',
  'group.upgrade',
  'release.view',
  'release.publish',
  'rollout.view',
  'rollout.control',
  'event.view',
  'audit.view',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Express style, from the root of the server. */
  readonly path: string;
  readonly permission: Permission;
  readonly summary: string;
  readonly status: number;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Absent for routes that answer bytes. */
  readonly answer?: z.ZodType;
  readonly errors: readonly ErrorCode[];
}

const route = <const R extends Route>(definition: R): R => definition;
const byId = z.object({ id: Id });

/**
 * The one table of the HTTP interface: the server mounts it, the guard reads its permissions, the
 * OpenAPI document and the typed client are made from it. A test checks that each row has exactly
 * one handler.
 */
export const ROUTES = {
  'health.live': route({
    method: 'GET',
    path: '/healthz',
    permission: 'public',
    summary: 'Is the manager up',
    status: 200,
    answer: s.Health,
    errors: ['unavailable'],
  }),
  'openapi.show': route({
    method: 'GET',
    path: '/api/v1/openapi.json',
    permission: 'public',
    summary: 'This interface as OpenAPI 3.1',
    status: 200,
    answer: z.record(z.string(), z.unknown()),
    errors: [],
  }),
  'setup.finish': route({
    method: 'POST',
    path: '/api/v1/setup',
    permission: 'public',
    summary: 'Trade the one-time set-up token for the first admin token',
    status: 201,
    body: s.SetupRequest,
    answer: s.TokenCreated,
    errors: ['setup_token_invalid', 'setup_done'],
  }),

  'tokens.list': route({
    method: 'GET',
    path: '/api/v1/tokens',
    permission: 'token.manage',
    summary: 'API tokens',
    status: 200,
    query: s.PageQuery,
    answer: s.pageOf(s.Token),
    errors: [],
  }),
  'tokens.create': route({
    method: 'POST',
    path: '/api/v1/tokens',
    permission: 'token.manage',
    summary: 'Make an API token',
    status: 201,
    body: s.CreateToken,
    answer: s.TokenCreated,
    errors: ['not_found'],
  }),
  'tokens.revoke': route({
    method: 'DELETE',
    path: '/api/v1/tokens/:id',
    permission: 'token.manage',
    summary: 'Revoke an API token',
    status: 204,
    params: byId,
    errors: ['not_found'],
  }),

  'groups.list': route({
    method: 'GET',
    path: '/api/v1/groups',
    permission: 'group.view',
    summary: 'Groups you may see',
    status: 200,
    query: s.PageQuery,
    answer: s.pageOf(s.Group),
    errors: [],
  }),
  'groups.create': route({
    method: 'POST',
    path: '/api/v1/groups',
    permission: 'group.manage',
    summary: 'Make a group below another',
    status: 201,
    body: s.CreateGroup,
    answer: s.Group,
    errors: ['not_found', 'conflict'],
  }),

  'nodes.list': route({
    method: 'GET',
    path: '/api/v1/nodes',
    permission: 'node.view',
    summary: 'Nodes you may see',
    status: 200,
    query: s.NodeQuery,
    answer: s.pageOf(s.Node),
    errors: [],
  }),
  'nodes.show': route({
    method: 'GET',
    path: '/api/v1/nodes/:id',
    permission: 'node.view',
    summary: 'One node',
    status: 200,
    params: byId,
    answer: s.Node,
    errors: ['not_found'],
  }),
  'nodes.revoke': route({
    method: 'POST',
    path: '/api/v1/nodes/:id/revoke',
    permission: 'node.enroll',
    summary: 'Revoke the key of a node and close its link',
    status: 200,
    params: byId,
    answer: s.Node,
    errors: ['not_found'],
  }),
  'nodes.upgrade': route({
    method: 'POST',
    path: '/api/v1/nodes/:id/upgrade',
    permission: 'node.upgrade',
    summary: 'Upgrade one node',
    status: 202,
    params: byId,
    body: s.UpgradeNode,
    answer: s.Rollout,
    errors: [
      'not_found',
      'release_not_for_scope',
      'rollout_empty',
      'upgrade_already_pending',
      'upgrade_version_changed',
      'node_offline',
      'upgrades_disabled',
    ],
  }),
  'groups.upgrade': route({
    method: 'POST',
    path: '/api/v1/groups/:id/upgrade',
    permission: 'group.upgrade',
    summary: 'Roll a release out to a group, in waves; answers with the plan',
    status: 202,
    params: byId,
    body: s.UpgradeGroup,
    answer: s.Rollout,
    errors: [
      'not_found',
      'release_not_for_scope',
      'rollout_empty',
      'rollout_node_busy',
      'rollout_plan_invalid',
      'upgrades_disabled',
    ],
  }),

  'groups.switch': route({
    method: 'GET',
    path: '/api/v1/groups/:id/upgrade-switch',
    permission: 'rollout.view',
    summary: 'Whether upgrades are enabled here',
    status: 200,
    params: byId,
    answer: s.Switch,
    errors: ['not_found'],
  }),
  'groups.set_switch': route({
    method: 'PUT',
    path: '/api/v1/groups/:id/upgrade-switch',
    permission: 'group.upgrade',
    summary: 'Enable, suspend (nothing new starts) or disable upgrades of a group and below',
    status: 200,
    params: byId,
    body: s.SetSwitch,
    answer: s.Switch,
    errors: ['not_found'],
  }),
  'groups.freezes': route({
    method: 'GET',
    path: '/api/v1/groups/:id/freezes',
    permission: 'rollout.view',
    summary: 'Freeze periods that were set on this group',
    status: 200,
    params: byId,
    answer: z.object({ items: z.array(s.Freeze) }),
    errors: ['not_found'],
  }),
  'groups.freeze': route({
    method: 'POST',
    path: '/api/v1/groups/:id/freezes',
    permission: 'group.upgrade',
    summary: 'Freeze a group and below: nothing new starts in that time',
    status: 201,
    params: byId,
    body: s.CreateFreeze,
    answer: s.Freeze,
    errors: ['not_found'],
  }),
  'groups.thaw': route({
    method: 'DELETE',
    path: '/api/v1/groups/:id/freezes/:freeze',
    permission: 'group.upgrade',
    summary: 'Take a freeze period away',
    status: 204,
    params: z.object({ id: Id, freeze: Id }),
    errors: ['not_found'],
  }),

  'enrollment.create': route({
    method: 'POST',
    path: '/api/v1/enrollment-tokens',
    permission: 'node.enroll',
    summary: 'Make a one-time enrollment token (15 minutes)',
    status: 201,
    body: s.CreateEnrollmentToken,
    answer: s.EnrollmentTokenCreated,
    errors: ['not_found'],
  }),
  'enrollment.enroll': route({
    method: 'POST',
    path: '/node/v1/enroll',
    permission: 'public',
    summary: 'A node trades a token for an identity',
    status: 201,
    body: EnrollRequest,
    answer: EnrollResponse,
    errors: [
      'enrollment_token_unknown',
      'enrollment_token_expired',
      'enrollment_token_used',
      'enrollment_proof_invalid',
    ],
  }),

  'releases.list': route({
    method: 'GET',
    path: '/api/v1/releases',
    permission: 'release.view',
    summary: 'Releases, newest first',
    status: 200,
    query: s.ReleaseQuery,
    answer: s.pageOf(s.Release),
    errors: [],
  }),
  'releases.upload': route({
    method: 'PUT',
    path: '/api/v1/blobs/sha256/:digest',
    permission: 'release.publish',
    summary: 'Upload an artifact under its digest (raw body); idempotent',
    status: 201,
    params: z.object({ digest: Sha256 }),
    answer: s.BlobStored,
    errors: ['release_digest_mismatch', 'payload_too_large'],
  }),
  'releases.publish': route({
    method: 'POST',
    path: '/api/v1/releases',
    permission: 'release.publish',
    summary: 'Publish a signed manifest',
    status: 201,
    body: s.PublishRelease,
    answer: s.Release,
    errors: ['release_exists', 'release_artifact_missing', 'upgrade_manifest_invalid'],
  }),
  'releases.manifest': route({
    method: 'GET',
    path: '/node/v1/releases/:product/:version/:channel/manifest.json',
    permission: 'node',
    summary: 'The manifest, byte for byte',
    status: 200,
    params: z.object({ product: ProductName, version: Version, channel: Channel }),
    errors: ['not_found'],
  }),
  'releases.signatures': route({
    method: 'GET',
    path: '/node/v1/releases/:product/:version/:channel/signatures.json',
    permission: 'node',
    summary: 'Its signatures, a JSON array of texts',
    status: 200,
    params: z.object({ product: ProductName, version: Version, channel: Channel }),
    answer: z.array(z.string()),
    errors: ['not_found'],
  }),
  'documents.announce': route({
    method: 'POST',
    path: '/api/v1/documents',
    permission: 'release.publish',
    summary: 'Hand in a signed channel index or downgrade permit; idempotent',
    status: 201,
    body: SignedDocument,
    answer: s.AnnouncedDocument,
    errors: ['release_document_invalid', 'release_document_superseded', 'upgrade_signature_invalid'],
  }),
  'documents.channel': route({
    method: 'GET',
    path: '/node/v1/channels/:product/:channel',
    permission: 'node',
    summary: 'The newest signed index of a channel',
    status: 200,
    params: z.object({ product: ProductName, channel: Channel }),
    answer: SignedDocument,
    errors: ['not_found'],
  }),
  'documents.downgrade': route({
    method: 'GET',
    path: '/node/v1/downgrades/:product/:channel/:version',
    permission: 'node',
    summary: 'The newest signed permit to go back to a version',
    status: 200,
    params: z.object({ product: ProductName, channel: Channel, version: Version }),
    answer: SignedDocument,
    errors: ['not_found'],
  }),
  'releases.blob': route({
    method: 'GET',
    path: '/node/v1/blobs/sha256/:digest',
    permission: 'node',
    summary: 'An artifact; Range and ETag are honoured',
    status: 200,
    params: z.object({ digest: Sha256 }),
    errors: ['not_found'],
  }),

  'rollouts.list': route({
    method: 'GET',
    path: '/api/v1/rollouts',
    permission: 'rollout.view',
    summary: 'Rollouts, newest first',
    status: 200,
    query: s.RolloutQuery,
    answer: s.pageOf(s.Rollout),
    errors: [],
  }),
  'rollouts.show': route({
    method: 'GET',
    path: '/api/v1/rollouts/:id',
    permission: 'rollout.view',
    summary: 'One rollout with its waves',
    status: 200,
    params: byId,
    answer: s.Rollout,
    errors: ['not_found'],
  }),
  'rollouts.targets': route({
    method: 'GET',
    path: '/api/v1/rollouts/:id/targets',
    permission: 'rollout.view',
    summary: 'Its nodes, each with state and reason',
    status: 200,
    params: byId,
    query: s.PageQuery,
    answer: s.pageOf(s.Target),
    errors: ['not_found'],
  }),
  'rollouts.create': route({
    method: 'POST',
    path: '/api/v1/rollouts',
    permission: 'group.upgrade',
    summary: 'Roll a release out by any strategy; answers with the plan',
    status: 202,
    body: s.CreateRollout,
    answer: s.Rollout,
    errors: [
      'not_found',
      'release_not_for_scope',
      'rollout_empty',
      'rollout_node_busy',
      'rollout_plan_invalid',
      'upgrades_disabled',
    ],
  }),
  'rollouts.preview': route({
    method: 'POST',
    path: '/api/v1/rollouts/preview',
    permission: 'group.upgrade',
    summary: 'What a rollout would be, wave by wave; writes nothing',
    status: 200,
    body: s.CreateRollout,
    answer: s.Preview,
    errors: [
      'not_found',
      'release_not_for_scope',
      'rollout_empty',
      'rollout_plan_invalid',
      'upgrades_disabled',
    ],
  }),
  'rollouts.report': route({
    method: 'GET',
    path: '/api/v1/rollouts/:id/report',
    permission: 'rollout.view',
    summary: 'Where each ring stands: state, reason, start, counts, versions',
    status: 200,
    params: byId,
    answer: s.RolloutReport,
    errors: ['not_found'],
  }),
  'rollouts.why': route({
    method: 'GET',
    path: '/api/v1/rollouts/:id/targets/:node/why',
    permission: 'rollout.view',
    summary: 'Why a node does not run the release yet, and when that could change',
    status: 200,
    params: z.object({ id: Id, node: Id }),
    answer: s.WhyNot,
    errors: ['not_found'],
  }),
  'rollouts.revert': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/revert',
    permission: 'group.upgrade',
    summary: 'Bring every upgraded node back to the version that it came from',
    status: 202,
    params: byId,
    answer: s.Reverted,
    errors: ['not_found', 'rollout_wrong_state', 'rollout_empty', 'rollout_node_busy', 'upgrades_disabled'],
  }),
  'rollouts.mark_rolled_back': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/mark-rolled-back',
    permission: 'rollout.control',
    summary: 'Say that it was rolled back by other means; binaries are not touched',
    status: 200,
    params: byId,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state'],
  }),
  'rollouts.retry_failed': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/retry-failed',
    permission: 'rollout.control',
    summary: 'Try failed, rolled back and silent nodes again',
    status: 200,
    params: byId,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state'],
  }),
  'rollouts.approve': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/approve',
    permission: 'rollout.control',
    summary: 'Approve a wave that waits for it; each person or token counts once',
    status: 200,
    params: byId,
    body: s.WaveVerb,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state', 'rollout_wave_unknown'],
  }),
  'rollouts.skip_wave': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/skip-wave',
    permission: 'rollout.control',
    summary: 'Leave out a wave that has not begun',
    status: 200,
    params: byId,
    body: s.WaveVerb,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state', 'rollout_wave_unknown'],
  }),
  'rollouts.start_wave': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/start-wave',
    permission: 'rollout.control',
    summary: 'Start a wave now: past order, window and wait; not past a switch, a freeze, missing approvals',
    status: 200,
    params: byId,
    body: s.WaveVerb,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state', 'rollout_wave_unknown'],
  }),
  'rollouts.mark_done': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/mark-done',
    permission: 'rollout.control',
    summary: 'Call a wave done: its failures stop nothing more',
    status: 200,
    params: byId,
    body: s.WaveVerb,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state', 'rollout_wave_unknown'],
  }),
  'rollouts.pause': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/pause',
    permission: 'rollout.control',
    summary: 'Pause: no new offer, no new permit',
    status: 200,
    params: byId,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state'],
  }),
  'rollouts.resume': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/resume',
    permission: 'rollout.control',
    summary: 'Resume; failed nodes of the open wave are tried again',
    status: 200,
    params: byId,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state'],
  }),
  'rollouts.cancel': route({
    method: 'POST',
    path: '/api/v1/rollouts/:id/cancel',
    permission: 'rollout.control',
    summary: 'Cancel: withdraw what has not swapped',
    status: 200,
    params: byId,
    answer: s.Rollout,
    errors: ['not_found', 'rollout_wrong_state'],
  }),

  'events.list': route({
    method: 'GET',
    path: '/api/v1/events',
    permission: 'event.view',
    summary: 'Events after a cursor, oldest first',
    status: 200,
    query: s.EventQuery,
    answer: s.EventPage,
    errors: [],
  }),
  'audit.list': route({
    method: 'GET',
    path: '/api/v1/audit',
    permission: 'audit.view',
    summary: 'Audit entries, newest first',
    status: 200,
    query: s.AuditQuery,
    answer: s.pageOf(s.AuditEntry),
    errors: [],
  }),
} as const;

export type RouteName = keyof typeof ROUTES;

type Parsed<T> = T extends z.ZodType ? z.output<T> : undefined;
type Sent<T> = T extends z.ZodType ? z.input<T> : undefined;
type Part<N extends RouteName, K extends string> =
  (typeof ROUTES)[N] extends Record<K, infer T> ? T : undefined;

/** What a handler gets: every part parsed by its schema. */
export interface Input<N extends RouteName> {
  readonly params: Parsed<Part<N, 'params'>>;
  readonly query: Parsed<Part<N, 'query'>>;
  readonly body: Parsed<Part<N, 'body'>>;
}
/** What a caller gives. */
export interface Call<N extends RouteName> {
  readonly params: Sent<Part<N, 'params'>>;
  readonly query: Sent<Part<N, 'query'>>;
  readonly body: Sent<Part<N, 'body'>>;
}
/** What comes back. */
export type Answer<N extends RouteName> = Parsed<Part<N, 'answer'>>;
