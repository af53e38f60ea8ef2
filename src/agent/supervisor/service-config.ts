import { z } from 'zod';
import { ProductName, Variant } from '../../core/release/index.js';

const Seconds = z.number().min(0.05).max(3_600);

/** How the agent asks a service whether it is well. Local only: never over the network. */
export const HealthCheck = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('http'),
    /** 2xx is healthy. Redirects are not followed. */
    url: z.url({ protocol: /^http$/ }).max(2_048),
    interval_secs: Seconds.default(5),
    timeout_secs: Seconds.default(3),
  }),
  z.strictObject({
    kind: z.literal('tcp'),
    host: z.string().max(255).default('127.0.0.1'),
    port: z.int().min(1).max(65_535),
    interval_secs: Seconds.default(5),
    timeout_secs: Seconds.default(3),
  }),
  z.strictObject({
    kind: z.literal('command'),
    /** Program and arguments; exit code 0 is healthy. Run in the version directory. */
    command: z.array(z.string().max(4_096)).min(1).max(64),
    interval_secs: Seconds.default(5),
    timeout_secs: Seconds.default(3),
  }),
  /** Healthy means: the process runs. */
  z.strictObject({ kind: z.literal('none'), interval_secs: Seconds.default(5) }),
]);
export type HealthCheck = z.infer<typeof HealthCheck>;

/** One service on this node, as `agent.toml` describes it. */
export const ServiceConfig = z.strictObject({
  name: ProductName,
  product: ProductName,
  variant: Variant.default('default'),
  /** Its install root; absolute. */
  root: z
    .string()
    .max(4_096)
    .refine((path) => path.startsWith('/'), 'must be an absolute path'),
  /** The program, relative to the version directory. */
  exec: z
    .string()
    .min(1)
    .max(1_024)
    .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'must stay inside'),
  args: z.array(z.string().max(4_096)).max(256).default([]),
  env: z.record(z.string().max(128), z.string().max(8_192)).default({}),
  health: HealthCheck.default({ kind: 'none', interval_secs: 5 }),
  stop_timeout_secs: Seconds.default(10),
});
export type ServiceConfig = z.infer<typeof ServiceConfig>;
