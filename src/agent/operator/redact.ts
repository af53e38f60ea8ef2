/** Shorter values are words that may stand anywhere. */
const SECRET_LENGTH_MIN = 6;
const HIDDEN = '[hidden]';

/** Forms that secrets have, wherever they stand. Each keeps what tells people what it was. */
const FORMS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, HIDDEN],
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, HIDDEN],
  [/\bbw[a-z]_[\w-]{8,}/g, HIDDEN],
  [/\b(bearer|basic)\s+[\w.~+/=-]+/gi, `$1 ${HIDDEN}`],
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${HIDDEN}@`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s?"']+)\?[^\s"']*/gi, `$1?${HIDDEN}`],
  [
    /((?:password|passwd|passphrase|secret|token|credential|api[-_]?key|access[-_]?key|authorization|cookie)["']?\s*[:=]\s*["']?)[^\s"',;&]+/gi,
    `$1${HIDDEN}`,
  ],
];

/** Takes out of a text what has the form of a secret, and the given values wherever they stand. */
export function redactText(text: string, secrets: readonly string[] = []): string {
  let left = text;
  for (const secret of secrets) {
    if (secret.length >= SECRET_LENGTH_MIN) left = left.replaceAll(secret, HIDDEN);
  }
  for (const [form, instead] of FORMS) left = left.replace(form, instead);
  return left;
}

/** The same in every text of a value. */
export function redactAll(value: unknown, secrets: readonly string[] = []): unknown {
  if (typeof value === 'string') return redactText(value, secrets);
  if (Array.isArray(value)) return value.map((one) => redactAll(one, secrets));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [redactText(key, secrets), redactAll(one, secrets)]),
  );
}
