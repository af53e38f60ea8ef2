/** The image of a container, taken apart. */
export interface ImageRef {
  readonly reference: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** As registries allow them; what is longer is no image. */
const TEXT_MAX = 512;

/** Name, tag and digest; a colon before a slash is that of a port. */
const IMAGE =
  /^(?<reference>[^\s@]*?[^\s@:/])(?::(?<tag>\w[\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;

/** `registry:5000/team/edge:1.4.0@sha256:…` in its parts; null for what is no image. */
export function readImage(text: string): ImageRef | null {
  const parts = text.length > TEXT_MAX ? undefined : IMAGE.exec(text)?.groups;
  const reference = parts?.['reference'];
  if (reference === undefined) return null;
  return { reference, tag: parts?.['tag'] ?? null, digest: parts?.['digest'] ?? null };
}

/** The one text by which nothing but this image can be meant. */
export const pinnedImage = ({
  reference,
  digest,
}: {
  readonly reference: string;
  readonly digest: string;
}): string => `${reference}@${digest}`;

/** Whether the same text means the same image tomorrow. */
export const isPinned = (text: string): boolean => (readImage(text)?.digest ?? null) !== null;

/** The same text, or the same digest, whatever stands before it. */
export const isSameImage = (one: string, other: string): boolean => {
  const digest = readImage(one)?.digest ?? null;
  return one === other || (digest !== null && digest === readImage(other)?.digest);
};
