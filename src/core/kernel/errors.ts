/**
 * The one error class that crosses a border of ours.
 *
 * `kind` says who can mend it: `user` (the caller sent something wrong), `operational` (the world
 * failed; trying again may help), `invariant` (we are wrong; never retried, always logged whole).
 * `context` must hold nothing secret: it reaches logs and problem documents.
 */
export class FleetError extends Error {
  readonly code: string;
  readonly kind: 'user' | 'operational' | 'invariant';
  readonly context: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    options: {
      kind?: 'user' | 'operational' | 'invariant';
      context?: Readonly<Record<string, unknown>>;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FleetError';
    this.code = code;
    this.kind = options.kind ?? 'user';
    this.context = options.context ?? {};
  }
}

/** Throws an `invariant` error when `condition` is false. For mistakes of ours, never for input. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new FleetError('internal_error', message, { kind: 'invariant' });
}

/** Makes a switch over a union exhaustive at compile time and loud at run time. */
export function unreachable(value: never): never {
  throw new FleetError('internal_error', `unexpected value ${JSON.stringify(value)}`, {
    kind: 'invariant',
  });
}
