import { z } from 'zod';
import { Channel, ProductName, Sha256, Version } from '../../core/release/index.js';
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
    errors: ['not_found', 'release_not_for_scope', 'rollout_empty', 'rollout_node_busy'],
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
    errors: ['not_found', 'release_not_for_scope', 'rollout_empty', 'rollout_node_busy'],
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
