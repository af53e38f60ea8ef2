import { ok, refuse, type Refusal, type Result } from '../kernel/index.js';
import { isPinned } from './image-ref.js';
import { ANNOTATIONS } from './opt-in.js';

/** A change of one image, with what it must find there. */
export interface ImageChange {
  readonly container: string;
  readonly image: string;
  readonly version: string | null;
  /** Of the image that is gone back to, for what shows versions: as far as it is known. */
  readonly backTo?: string | null;
  readonly previousImage: string | null;
  /** Whoever changed the workload in between makes the change fail (409). */
  readonly resourceVersion: string;
  readonly uid: string;
}

/**
 * The strategic merge patch of a change: one container by name, two annotations, and nothing else.
 * Going forward an image that is not named by digest is refused, whoever asks.
 */
export function imagePatch(
  change: ImageChange,
): Result<Readonly<Record<string, unknown>>, Refusal<'upgrade_image_mutable'>> {
  const { container, image, version, previousImage, resourceVersion, uid } = change;
  if (version !== null && previousImage !== null && !isPinned(image)) {
    return refuse('upgrade_image_mutable', `${image.slice(0, 300)} is not named by its digest`);
  }
  return ok({
    metadata: {
      uid,
      resourceVersion,
      annotations: {
        [ANNOTATIONS.version]: version,
        [ANNOTATIONS.previousImage]: previousImage,
      },
    },
    spec: { template: { spec: { containers: [{ name: container, image }] } } },
  });
}
