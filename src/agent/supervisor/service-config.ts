import { z } from 'zod';
import { ProductName, Variant } from '../../core/release/index.js';
import { UpdateHooks } from './update-hooks.js';

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

const Command = z.array(z.string().max(4_096)).min(1).max(64);

/** How a supervisor is asked that the agent does not know. Run in the install root. */
export const HookCommands = z.strictObject({
  start: Command,
  stop: Command,
  /** Exit code 0: it runs. Any other: it does not. */
  status: Command,
  /** Prints the id of its process. Without it, a service that is started again at once looks steady. */
  pid: Command.optional(),
  /** For a service that ended and was not started again; `start` where it is not given. */
  restart: Command.optional(),
  /** For each of them; what takes longer is killed and counts as failed. */
  timeout_secs: Seconds.default(30),
});
export type HookCommands = z.infer<typeof HookCommands>;

/** A template instance or a unit; systemd.unit(5) allows these characters and this length. */
const UnitName = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*\.service$/, 'must name a .service unit');

const Service = z.strictObject({
  name: ProductName,
  product: ProductName,
  variant: Variant.default('default'),
  /** Its install root; absolute. */
  root: z
    .string()
    .max(4_096)
    .refine((path) => path.startsWith('/'), 'must be an absolute path'),
  /** Who runs it: this agent, systemd, or another supervisor that is asked by commands. `self`: it is this agent. */
  driver: z.enum(['child', 'systemd', 'hooks', 'self']).default('child'),
  /** With `driver = "systemd"`; `bellwether-svc@<name>.service` when it is not given. */
  unit: UnitName.optional(),
  /** With `driver = "hooks"`. */
  commands: HookCommands.optional(),
  /** With `driver = "child"`: the program, relative to the version directory. */
  exec: z
    .string()
    .min(1)
    .max(1_024)
    .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'must stay inside')
    .optional(),
  args: z.array(z.string().max(4_096)).max(256).default([]),
  env: z.record(z.string().max(128), z.string().max(8_192)).default({}),
  health: HealthCheck.default({ kind: 'none', interval_secs: 5 }),
  stop_timeout_secs: Seconds.default(10),
  /** Programs of this machine that are asked during an upgrade. */
  hooks: UpdateHooks.default({}),
});

/** What belongs to which driver. What another driver would ignore is an error, not a surprise. */
const OF_DRIVER = {
  child: { needs: ['exec'], knows: ['exec', 'args', 'env'] },
  systemd: { needs: [], knows: ['unit'] },
  hooks: { needs: ['commands'], knows: ['commands'] },
  self: { needs: [], knows: [] },
} as const;
const FIELDS = ['exec', 'args', 'env', 'unit', 'commands'] as const;

const isGiven = (value: unknown): boolean =>
  value !== undefined && Object.keys(value as object).length > 0;

/** One service on this node, as `agent.toml` describes it. */
export const ServiceConfig = Service.superRefine((service, context) => {
  const needs: readonly string[] = OF_DRIVER[service.driver].needs;
  const knows: readonly string[] = OF_DRIVER[service.driver].knows;
  const who = `driver = "${service.driver}"`;
  for (const field of FIELDS) {
    const given = isGiven(service[field]);
    const isMissing = !given && needs.includes(field);
    const isForeign = given && !knows.includes(field);
    if (!isMissing && !isForeign) continue;
    const message = isMissing ? `${who} needs it` : `${who} does not use it`;
    context.addIssue({ code: 'custom', path: [field], message });
  }
});
export type ServiceConfig = z.infer<typeof ServiceConfig>;
