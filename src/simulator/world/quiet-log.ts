import type { Logger } from 'pino';

const nothing = (): void => undefined;

/** A log that nobody reads. */
export const silentLog = quietLog(nothing);

/** A log of which only the errors are heard: what the manager swallows must not hide a mistake. */
export function quietLog(onError: (error: unknown, message: string) => void): Logger {
  const error = (fields: { readonly err?: unknown }, message: string): void => {
    onError(fields.err, message);
  };
  // The manager uses these four of its logger, and none of the rest.
  return { error, warn: nothing, info: nothing, debug: nothing } as unknown as Logger;
}
