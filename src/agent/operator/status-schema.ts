import { z } from 'zod';
import { Channel, Version } from '../../core/release/index.js';
import { UpdateState } from '../../core/update/index.js';
import { Identity } from '../config.js';

const ServiceStatus = z.strictObject({
  name: z.string(),
  root: z.string(),
  /** What runs; null before the first install. */
  version: Version.nullable(),
  previous: Version.nullable(),
  /** What is under way; null when nothing is. */
  target: z
    .strictObject({
      version: Version,
      phase: z.string(),
      /** In words: what has to come before it goes on. */
      waits_for: z.string(),
      apply_after: z.iso.datetime().nullable(),
      expires_at: z.iso.datetime(),
    })
    .nullable(),
  /** By hand on this node (`disable`, `pin`). */
  enabled: z.boolean(),
  pin: Version.nullable(),
  /** When its maintenance window is open next, or now is in it; null without one, or when none opens. */
  window_opens_at: z.iso.datetime().nullable(),
  /** Null when it cannot be used; `problems` says why. */
  policy: z
    .strictObject({
      digest: z.string(),
      enabled: z.boolean(),
      allowed_channels: z.array(Channel),
      manual_only: z.boolean(),
      min_version: Version.nullable(),
      sequence: z.int(),
    })
    .nullable(),
  /** `state.json` as it lies there; null before the first start of the agent. */
  state: UpdateState.nullable(),
  /** What is wrong with `state.json`, `control.json` or the policy; empty when nothing is. */
  problems: z.array(z.string()),
});
export type ServiceStatus = z.infer<typeof ServiceStatus>;

/** What `status --json` prints. Fields are added, and none is renamed or given another meaning. */
export const Status = z.strictObject({
  node: Identity,
  manager: z.string(),
  /** Process id of the agent; null when none runs. */
  agent_pid: z.int().nullable(),
  /** `connected` when the manager has welcomed this node; null when no agent runs. */
  link: z.enum(['connecting', 'connected', 'waiting', 'stopped']).nullable(),
  link_since: z.iso.datetime().nullable(),
  /** The way that carries the link, or that is tried (next). */
  link_transport: z.enum(['socket', 'poll']).nullable(),
  link_manager: z.string().nullable(),
  link_next_try: z.iso.datetime().nullable(),
  /** Nothing is under way on any service. */
  up_to_date: z.boolean(),
  services: z.array(ServiceStatus),
});
export type Status = z.infer<typeof Status>;
