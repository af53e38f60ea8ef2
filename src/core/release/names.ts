import { z } from 'zod';
import { lt, valid } from 'semver';

/** Product and service names: they become directory names on nodes, so nothing clever. */
export const ProductName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes, 63 at most');

/** A strict semantic version without leading `v`; 64 characters at most. */
export const Version = z
  .string()
  .max(64)
  .refine((text) => valid(text) === text, 'not a semantic version such as 1.4.2');

/** `dev` sees all three, `beta` sees two, `stable` sees itself (DESIGN 2). */
export const Channel = z.enum(['stable', 'beta', 'dev']);
export type Channel = z.infer<typeof Channel>;

/** SHA-256 in lower-case hex. */
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits');

export const Os = z.enum(['linux', 'darwin']);
export const Arch = z.enum(['x64', 'arm64']);
/** A build flavour such as `default` or `full`; the node knows which one it runs. */
export const Variant = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,31}$/);

/** Whether a version comes before another, by the order of Semantic Versioning. */
export const isOlder = (version: string, other: string): boolean => lt(version, other);
