import { z } from 'zod';
import { Arch, Variant } from './names.js';

/** What a workload runs: the image without tag, and the one digest that is meant. */
export const Image = z.strictObject({
  reference: z
    .string()
    .max(255)
    .regex(
      /^[a-z0-9][a-z0-9.-]*(:\d{1,5})?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)+$/,
      'not an image name without tag',
    ),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'sha256: and 64 lower-case hex digits'),
});
export type Image = z.infer<typeof Image>;

/** The image of one build flavour; without `arch` the digest is that of an index for several. */
export const PlatformImage = z.strictObject({
  variant: Variant,
  arch: Arch.optional(),
  ...Image.shape,
});
export type PlatformImage = z.infer<typeof PlatformImage>;

type Key = Pick<PlatformImage, 'variant' | 'arch'>;
const keyOf = ({ variant, arch }: Key): string => `${variant}/${arch ?? ''}`;

export const areOneEach = (images: readonly Key[]): boolean =>
  new Set(images.map(keyOf)).size === images.length;

/** The variant that is meant where nobody says another. */
const USUAL = 'default';

/** What a release carries for workloads. */
export interface Images {
  readonly image?: Image | undefined;
  readonly images?: readonly PlatformImage[] | undefined;
}

/**
 * The image for a workload, or undefined. `arch` is null for one whose pods may run on machines of
 * several: only an index will do for it. An image for its very arch comes first, then an index of
 * its variant, then `image`, which is of the variant `default` and an index.
 */
export function imageFor(
  { image, images = [] }: Images,
  { arch, variant }: { readonly arch: string | null; readonly variant: string },
): Image | undefined {
  const fitting = images.filter((one) => one.variant === variant);
  const own = arch === null ? undefined : fitting.find((one) => one.arch === arch);
  const found =
    own ?? fitting.find((one) => one.arch === undefined) ?? (variant === USUAL ? image : undefined);
  return found && { reference: found.reference, digest: found.digest };
}

/** Every digest that a release lets workloads run, each once. */
export const imageDigestsOf = ({ image, images = [] }: Images): readonly string[] => [
  ...new Set([...(image === undefined ? [] : [image]), ...images].map(({ digest }) => digest)),
];
