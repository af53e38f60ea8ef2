import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import { readOperatorConfig, type OperatorConfig } from '../config.js';

const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const NAMESPACES_MAX = 500;
const Names = z
  .string()
  .max(40_000)
  .transform((text) => text.split(',').map((one) => one.trim()))
  .transform((names) => names.filter((one) => one !== ''))
  .refine((names) => names.length <= NAMESPACES_MAX && names.every((one) => NAME.test(one)), {
    message: 'write names of namespaces with commas between, 500 at most',
  });
const ObjectName = z.string().regex(NAME, 'not the name of an object');

const Env = z.object({
  BELLWETHER_WEBHOOK_PORT: z.coerce.number().int().min(0).max(65_535).default(8_443),
  BELLWETHER_WEBHOOK_HOST: z.string().min(1).max(253).default('0.0.0.0'),
  BELLWETHER_WEBHOOK_MODE: z.enum(['refuse', 'warn']).default('refuse'),
  BELLWETHER_WEBHOOK_SERVICE: ObjectName.default('bellwether-webhook'),
  BELLWETHER_WEBHOOK_SERVICE_NAMESPACE: ObjectName.optional(),
  BELLWETHER_WEBHOOK_CONFIGURATION: ObjectName.default('bellwether-webhook'),
  BELLWETHER_WEBHOOK_SECRET: ObjectName.default('bellwether-webhook-tls'),
  BELLWETHER_WEBHOOK_NAMESPACES: Names.default([]),
  BELLWETHER_WEBHOOK_EXCLUDED_NAMESPACES: Names.optional(),
  BELLWETHER_WEBHOOK_FRESH_SECONDS: z.coerce.number().int().min(1).max(3_600).default(60),
  BELLWETHER_WEBHOOK_STALE_SECONDS: z.coerce.number().int().min(1).max(2_592_000).default(86_400),
  BELLWETHER_WEBHOOK_CLIENT_CA_FILE: z.string().min(1).optional(),
});

export interface WebhookConfig {
  readonly operator: OperatorConfig;
  readonly port: number;
  readonly host: string;
  readonly mode: 'refuse' | 'warn';
  readonly service: string;
  /** Of the Service; the rest of what it owns lies in the operator's own. */
  readonly serviceNamespace: string;
  readonly configuration: string;
  readonly secret: string;
  /** Null: all of them. */
  readonly namespaces: ReadonlySet<string> | null;
  readonly excluded: ReadonlySet<string>;
  readonly freshMs: number;
  readonly staleMs: number;
  readonly clientCaFile: string | undefined;
}

/** Throws `config_invalid` with every problem at once. */
export async function readWebhookConfig(
  env: Readonly<Record<string, string | undefined>>,
): Promise<WebhookConfig> {
  const filled = Object.fromEntries(Object.entries(env).filter(([, text]) => text !== ''));
  const parsed = Env.safeParse(filled);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.')}: ${message}`,
    );
    throw new FleetError('config_invalid', problems.join('; '));
  }
  const given = parsed.data;
  const operator = await readOperatorConfig(filled);
  const freshMs = given.BELLWETHER_WEBHOOK_FRESH_SECONDS * 1_000;
  const staleMs = given.BELLWETHER_WEBHOOK_STALE_SECONDS * 1_000;
  if (staleMs < freshMs) {
    const message = 'BELLWETHER_WEBHOOK_STALE_SECONDS is below BELLWETHER_WEBHOOK_FRESH_SECONDS';
    throw new FleetError('config_invalid', message);
  }
  const names = given.BELLWETHER_WEBHOOK_NAMESPACES;
  const serviceNamespace = given.BELLWETHER_WEBHOOK_SERVICE_NAMESPACE ?? operator.namespace;
  const excluded = given.BELLWETHER_WEBHOOK_EXCLUDED_NAMESPACES;
  return {
    operator,
    port: given.BELLWETHER_WEBHOOK_PORT,
    host: given.BELLWETHER_WEBHOOK_HOST,
    mode: given.BELLWETHER_WEBHOOK_MODE,
    service: given.BELLWETHER_WEBHOOK_SERVICE,
    serviceNamespace,
    configuration: given.BELLWETHER_WEBHOOK_CONFIGURATION,
    secret: given.BELLWETHER_WEBHOOK_SECRET,
    namespaces: names.length === 0 ? null : new Set(names),
    excluded: new Set(excluded ?? ['kube-system', operator.namespace, serviceNamespace]),
    freshMs,
    staleMs,
    clientCaFile: given.BELLWETHER_WEBHOOK_CLIENT_CA_FILE,
  };
}
