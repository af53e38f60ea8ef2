import { ANNOTATIONS } from './opt-in.js';
import type { WorkloadView } from './types.js';

const RELEASE = 'meta.helm.sh/release-name';
const RELEASE_NAMESPACE = 'meta.helm.sh/release-namespace';
/** What most charts call them; `bellwether.dev/helm-set` says otherwise. */
export const USUAL_SET = 'image.tag={version},image.digest={digest}';
const PLAIN = /^[A-Za-z0-9_./:@=,+-]+$/;

/** For a shell, whatever stands in an annotation. */
const quoted = (text: string): string =>
  PLAIN.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * The line that a person runs to bring a version, one line of at most 2000 characters. Whatever helm
 * says of itself on the workload is in it; what nobody says stands as `<chart>` or `<release>`.
 */
export function helmCommand(
  { annotations, namespace }: Pick<WorkloadView, 'annotations' | 'namespace'>,
  to: { readonly version: string; readonly digest: string },
): string {
  const release = annotations[RELEASE] ?? '<release>';
  const chart = annotations[ANNOTATIONS.helmChart] ?? '<chart>';
  const into = annotations[RELEASE_NAMESPACE] ?? namespace;
  const sets = (annotations[ANNOTATIONS.helmSet] ?? USUAL_SET)
    .replaceAll('{version}', to.version)
    .replaceAll('{digest}', to.digest);
  const words = ['helm upgrade', placeholderOr(release), placeholderOr(chart)];
  words.push('--namespace', quoted(into), '--reuse-values', '--set', quoted(sets));
  return words
    .join(' ')
    .replace(/[\p{Cc}\p{Cf}]/gu, '')
    .slice(0, 2_000);
}

const placeholderOr = (text: string): string => (/^<\w+>$/.test(text) ? text : quoted(text));
