import { z } from 'zod';

/** A bucket in place of the disk. */
export interface S3Config {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly prefix: string;
  readonly pathStyle: boolean;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
}

/** The variables of it; the rows of the README are held against those of `config.ts`. */
export const StorageEnvironment = {
  endpoint: z
    .string()
    .refine(
      (text) => URL.canParse(text) && isOrigin(new URL(text)),
      'give scheme, host and port only, such as https://s3.eu-central-1.amazonaws.com',
    )
    .optional(),
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'give the name of a bucket')
    .optional(),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, 'give a region such as eu-central-1')
    .default('us-east-1'),
  prefix: z
    .string()
    .regex(/^([A-Za-z0-9_-]+\/){1,8}$/, 'give letters, digits, - and _, with a slash at the end')
    .default('bellwether/'),
  addressing: z.enum(['path', 'host'], { error: 'take path or host' }).default('path'),
  credential: z.string().max(2_048).optional(),
} as const;

const isOrigin = ({ protocol, pathname, search, hash, username, password }: URL): boolean =>
  /^https?:$/.test(protocol) && pathname === '/' && `${search}${hash}${username}${password}` === '';

/** The variables as they were read. */
export interface S3Variables {
  readonly BELLWETHER_S3_ENDPOINT?: string | undefined;
  readonly BELLWETHER_S3_BUCKET?: string | undefined;
  readonly BELLWETHER_S3_REGION: string;
  readonly BELLWETHER_S3_PREFIX: string;
  readonly BELLWETHER_S3_ADDRESSING: 'path' | 'host';
  readonly BELLWETHER_S3_ACCESS_KEY_ID?: string | undefined;
  readonly BELLWETHER_S3_SECRET_ACCESS_KEY?: string | undefined;
  readonly BELLWETHER_S3_SESSION_TOKEN?: string | undefined;
}

const NEEDED = [
  'BELLWETHER_S3_ENDPOINT',
  'BELLWETHER_S3_ACCESS_KEY_ID',
  'BELLWETHER_S3_SECRET_ACCESS_KEY',
] as const;

/** What lacks for a bucket that was named, or a bucket that was forgotten. */
export function problemsOfS3(given: Readonly<Record<string, unknown>>): string[] {
  if (given['BELLWETHER_S3_BUCKET'] !== undefined) {
    return NEEDED.filter((name) => given[name] === undefined).map(
      (name) => `${name}: is needed too when BELLWETHER_S3_BUCKET is given`,
    );
  }
  const lost = NEEDED.filter((name) => given[name] !== undefined);
  return lost.length === 0
    ? []
    : [`BELLWETHER_S3_BUCKET: name the bucket, or leave out ${lost.join(', ')}`];
}

/** Below this a node would take its connection for dead. */
const BYTES_PER_SECOND_EACH = 1_024;

/** A rate that is too low for so many at once. */
export function problemsOfPace(read: {
  readonly BELLWETHER_DOWNLOADS_MAX: number;
  readonly BELLWETHER_DOWNLOAD_BYTES_PER_SECOND?: number | undefined;
}): string[] {
  const { BELLWETHER_DOWNLOADS_MAX: max, BELLWETHER_DOWNLOAD_BYTES_PER_SECOND: rate } = read;
  const needed = max * BYTES_PER_SECOND_EACH;
  if (rate === undefined || rate >= needed) return [];
  return [
    `BELLWETHER_DOWNLOAD_BYTES_PER_SECOND: give ${needed} or more for ${max} downloads at once, or ` +
      'lower BELLWETHER_DOWNLOADS_MAX',
  ];
}

/** Null: artifacts lie in the data directory. To be asked only when there are no problems. */
export function s3Of(read: S3Variables): S3Config | null {
  if (read.BELLWETHER_S3_BUCKET === undefined) return null;
  return {
    endpoint: read.BELLWETHER_S3_ENDPOINT ?? '',
    bucket: read.BELLWETHER_S3_BUCKET,
    region: read.BELLWETHER_S3_REGION,
    prefix: read.BELLWETHER_S3_PREFIX,
    pathStyle: read.BELLWETHER_S3_ADDRESSING === 'path',
    accessKeyId: read.BELLWETHER_S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: read.BELLWETHER_S3_SECRET_ACCESS_KEY ?? '',
    sessionToken: read.BELLWETHER_S3_SESSION_TOKEN,
  };
}
