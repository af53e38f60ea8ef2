import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { z } from 'zod';
import { FleetError } from '../../core/kernel/index.js';
import {
  Arch,
  Channel,
  Compatibility,
  Image,
  Os,
  PlatformImage,
  ProductName,
  Variant,
  type Manifest,
} from '../../core/release/index.js';

export const PROJECT_FILE = 'release.toml';
/** A project with 256 artifacts has about 20 KiB. */
const PROJECT_BYTES_MAX = 256 * 1024;
const EXPIRES_DAYS_MAX = 3_650;

/** What stays the same from one release of a product to the next. */
const Project = z
  .strictObject({
    product: ProductName,
    channel: Channel.optional(),
    /** File with the release notes. */
    notes: z.string().min(1).optional(),
    expires_after_days: z.int().min(1).max(EXPIRES_DAYS_MAX).optional(),
    compatibility: Compatibility.optional(),
    image: Image.optional(),
    images: z.array(PlatformImage).min(1).max(64).optional(),
    artifact: z
      .array(
        z.strictObject({
          os: Os,
          arch: Arch,
          variant: Variant.default('default'),
          path: z.string().min(1),
        }),
      )
      .max(256)
      .default([]),
  })
  .refine(
    ({ artifact, image, images }) =>
      artifact.length > 0 || image !== undefined || images !== undefined,
    { path: ['artifact'], message: 'neither an artifact nor an image' },
  );

/** `release.toml`, with paths that begin where the file lies. */
export interface ReleaseProject {
  readonly product: string;
  readonly channel: z.infer<typeof Channel> | undefined;
  readonly notes: string | undefined;
  readonly expiresAfterDays: number | undefined;
  readonly compatibility: Manifest['compatibility'];
  readonly image: Manifest['image'];
  readonly images: Manifest['images'];
  /** As `--artifact` takes them. */
  readonly artifacts: readonly string[];
}

/** Throws `cli_usage` with every problem of the file. An unknown key is one: it may be misspelt. */
export async function readProject(path: string): Promise<ReleaseProject> {
  const parsed = Project.safeParse(parse(path, await readFile(path)));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path: at, message }) => `${at.join('.') || 'file'}: ${message}`,
    );
    throw invalid(path, problems.join('; '));
  }
  const { artifact, expires_after_days, notes, ...rest } = parsed.data;
  const folder = dirname(path);
  return {
    product: rest.product,
    channel: rest.channel,
    notes: notes === undefined ? undefined : resolve(folder, notes),
    expiresAfterDays: expires_after_days,
    compatibility: rest.compatibility,
    image: rest.image,
    images: rest.images,
    artifacts: artifact.map(
      ({ os, arch, variant, path: file }) => `${os}/${arch}/${variant}=${resolve(folder, file)}`,
    ),
  };
}

function parse(path: string, bytes: Buffer): unknown {
  if (bytes.length > PROJECT_BYTES_MAX) {
    throw invalid(path, `has ${bytes.length} bytes; at most ${PROJECT_BYTES_MAX} are read`);
  }
  try {
    return parseToml(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const [line] = (error as Error).message.split('\n');
    throw invalid(path, line ?? 'not TOML');
  }
}

const invalid = (path: string, problem: string): FleetError =>
  new FleetError('cli_usage', `${path}: ${problem}`, {
    context: { fix: '`bellwether release init` writes a file to begin with.' },
  });
