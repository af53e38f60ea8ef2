import { z } from 'zod';

/** Where the key is that seals secrets at rest. All null: the manager keeps one of its own. */
export interface MasterKeyConfig {
  /** The key itself; never printed. */
  readonly value: string | null;
  readonly file: string | null;
  /** Keys that were in use before, one a line: what they sealed is sealed anew. */
  readonly oldFile: string | null;
}

const file = z
  .string()
  .refine((text) => !text.includes('\0'), 'take the NUL character out')
  .optional();

/** The variables of it; what is wrong with a value is said without the value. */
export const MasterKeyEnvironment = {
  value: z
    .string()
    .regex(
      /^([0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=?)$/,
      'give 32 random bytes in base64 or hex, as `openssl rand -base64 32` prints them',
    )
    .optional(),
  file,
} as const;

/** The variables as they were read. */
interface Variables {
  readonly BELLWETHER_MASTER_KEY?: string | undefined;
  readonly BELLWETHER_MASTER_KEY_FILE?: string | undefined;
  readonly BELLWETHER_MASTER_KEYS_OLD_FILE?: string | undefined;
}

export const masterKeyOf = (read: Variables): MasterKeyConfig => ({
  value: read.BELLWETHER_MASTER_KEY ?? null,
  file: read.BELLWETHER_MASTER_KEY_FILE ?? null,
  oldFile: read.BELLWETHER_MASTER_KEYS_OLD_FILE ?? null,
});

export function problemsOfMasterKey(given: Readonly<Record<string, unknown>>): string[] {
  const both = ['BELLWETHER_MASTER_KEY', 'BELLWETHER_MASTER_KEY_FILE'];
  return both.every((name) => given[name] !== undefined)
    ? ['BELLWETHER_MASTER_KEY: give the key or the file with it, not both']
    : [];
}
