import { z } from 'zod';
import { Channel, Version } from '../../core/release/index.js';

/** One digest stands in a few releases: one a channel, and rebuilds that came out the same. */
export const RELEASES_OF_IMAGE_MAX = 16;

/** Hints, newest first: what a release lets run is said by its manifest, and by whoever signed it. */
export const ReleasesOfImage = z.object({
  releases: z.array(z.object({ version: Version, channel: Channel })).max(RELEASES_OF_IMAGE_MAX),
});
export type ReleasesOfImage = z.infer<typeof ReleasesOfImage>;
